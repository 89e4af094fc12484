package overlay

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// The file has a line for each change, in order: its checksum, a word, quoted paths.
//
//	crc set "/dir/f" f SIZE TIME GRAIN "UNIQUE" SHOWN MODE UNDER     "-" where there is none
//	crc drop "/dir/f"
//	crc cut "/dir"                        and what is below
//	crc forget "/dir"                     the names in it
//	crc move "/dir" "/elsewhere"
//
// It is written anew, whole, when it has twice the lines that it needs.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// journal is what is still to be written.
type journal struct {
	pending []byte
	added   int  // lines in it
	lines   int  // in the file
	broken  bool // the file does not end as it should
}

func (j *journal) add(text string) {
	j.pending = appendLine(j.pending, text)
	j.added++
}

func appendLine(b []byte, text string) []byte {
	return fmt.Appendf(b, "%08x %s\n", crc32.Checksum([]byte(text), castagnoli), text)
}

func setLine(path string, a Attr) string {
	kind, shown, mode := "f", "-", "-"
	if a.Dir {
		kind = "d"
	}
	if a.HasMTime {
		shown = strconv.FormatInt(a.MTime, 10)
	}
	if a.HasMode {
		mode = strconv.FormatUint(uint64(a.Mode), 8)
	}
	over := int64(0)
	if a.Over.MGrain > 0 {
		over = a.Over.MTime.Unix()
	}
	return fmt.Sprintf("set %q %s %d %d %d %q %s %s %d", path, kind, a.Over.Size, over, a.Over.MGrain, a.Over.Unique, shown, mode, a.Under)
}

func cutLine(path string) string      { return fmt.Sprintf("cut %q", path) }
func dropLine(path string) string     { return fmt.Sprintf("drop %q", path) }
func forgetLine(path string) string   { return fmt.Sprintf("forget %q", path) }
func moveLine(from, to string) string { return fmt.Sprintf("move %q %q", from, to) }

// slack is how many lines more than needed are borne.
const slack = 1000

// Save returns what writes the changes since the last Save; nil if there are none. What
// could not be written is written with the next changes.
func (t *Table) Save() (write func() error) {
	j := &t.log
	if j.added == 0 && !j.broken {
		return nil
	}
	if j.broken || j.lines+j.added > 2*t.n+slack {
		return t.rewrite()
	}
	b := j.pending
	j.lines += j.added
	j.pending, j.added = nil, 0
	return func() error { return appendTo(t.path, b) }
}

// Failed is called with the lock after what Save returned has failed.
func (t *Table) Failed() { t.log.broken = true }

// Rest has what is on disk survive a power cut. It needs no lock.
func (t *Table) Rest() error {
	f, err := os.OpenFile(t.path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func appendTo(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// rewrite writes what is set now in place of all that was.
func (t *Table) rewrite() func() error {
	type line struct {
		path string
		p    packed
	}
	all := make([]line, 0, t.n)
	for in, d := range t.dirs {
		for name, p := range d.names {
			all = append(all, line{join(in, name), p})
		}
	}
	t.log = journal{lines: len(all)}
	return func() error {
		tmp := t.path + ".tmp"
		f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		w := bufio.NewWriterSize(f, 64<<10)
		for _, l := range all {
			w.Write(appendLine(nil, setLine(l.path, l.p.attr())))
		}
		if err = errors.Join(w.Flush(), f.Sync(), f.Close()); err == nil {
			err = os.Rename(tmp, t.path)
		}
		if err != nil {
			os.Remove(tmp)
		}
		return err
	}
}

// Load reads the file back, into an empty table. Lines that cannot be read are left out;
// torn counts them. What is not known well enough to be told from another version is
// dropped: a file of which the server's time is not known.
func (t *Table) Load() (torn int, err error) {
	b, err := os.ReadFile(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for len(b) > 0 {
		line, rest, ended := bytes.Cut(b, []byte("\n"))
		b = rest
		t.log.lines++
		if !t.replay(string(line)) {
			torn++
		}
		t.log.broken = t.log.broken || torn > 0 || !ended
	}
	t.log.pending, t.log.added = nil, 0 // of shrink: the bound may be another now
	for in, d := range t.dirs {
		for name, p := range d.names {
			if p.grain == 0 && !p.dir {
				t.Drop(in, name)
			}
		}
	}
	return torn, nil
}

// replay takes in one line.
func (t *Table) replay(line string) bool {
	sum, text, _ := strings.Cut(line, " ")
	if n, err := strconv.ParseUint(sum, 16, 32); err != nil || uint32(n) != crc32.Checksum([]byte(text), castagnoli) {
		return false
	}
	verb, rest, _ := strings.Cut(text, " ")
	path, rest, ok := quoted(rest)
	if !ok {
		return false
	}
	in, name := split(path)
	switch verb {
	case "forget":
		t.forget(path)
		return true
	case "drop":
		t.drop(in, name)
		return true
	case "cut":
		t.cut(in, name)
		return true
	case "move":
		to, _, ok := quoted(rest)
		if ok {
			in2, name2 := split(to)
			t.move(in, name, in2, name2)
		}
		return ok
	case "set":
		a, ok := readAttr(rest)
		if ok && name != "" {
			t.set(in, name, a)
		}
		return ok
	}
	return false
}

// quoted takes a quoted string off the front.
func quoted(s string) (v, rest string, ok bool) {
	q, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", false
	}
	v, err = strconv.Unquote(q)
	return v, strings.TrimPrefix(s[len(q):], " "), err == nil
}

func readAttr(s string) (a Attr, ok bool) {
	word := func() (w string) {
		w, s, _ = strings.Cut(s, " ")
		return w
	}
	ok = true
	number := func(base, bits int) int64 {
		n, err := strconv.ParseInt(word(), base, bits)
		ok = ok && err == nil
		return n
	}
	a.Dir = word() == "d"
	a.Over.Size = number(10, 64)
	at := number(10, 64)
	if a.Over.MGrain = time.Duration(number(10, 64)); a.Over.MGrain > 0 {
		a.Over.MTime = time.Unix(at, 0)
	}
	var good bool
	a.Over.Unique, s, good = quoted(s)
	none := func() bool {
		rest, found := strings.CutPrefix(s, "- ")
		s = rest
		return found
	}
	if a.HasMTime = !none(); a.HasMTime {
		a.MTime = number(10, 64)
	}
	if a.HasMode = !none(); a.HasMode {
		a.Mode = uint16(number(8, 16)) & 0o7777
	}
	a.Under = int32(number(10, 32))
	return a, ok && good && (a.HasMTime || a.HasMode)
}
