package main

import (
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"ftpfs/cmd/internal/credentials"
	"ftpfs/cmd/internal/option"
	"ftpfs/cmd/internal/target"
	"ftpfs/ftpconn/doctor"
)

// mountLines are how a server that was examined is mounted. No password is in them.
type mountLines struct {
	Prepare     string `json:"prepare"` // makes the mount point; nothing if it is there
	Command     string `json:"command"`
	Fstab       string `json:"fstab"`
	Credentials string `json:"credentials,omitempty"` // the file that the fstab line names, where none was given

	secrets []string // what is to be in that file
}

// mounting makes them from what doctor was asked with and what it found.
func mounting(t target.Target, lists []string, rep *doctor.Report) mountLines {
	var m mountLines
	given, file, proxied := kept(lists)
	opts := slices.Clone(given)
	for _, o := range rep.Options {
		key, _, _ := strings.Cut(o.Text, "=")
		opts = append(slices.DeleteFunc(opts, func(given string) bool { return given == key || strings.HasPrefix(given, key+"=") }), o.Text)
	}
	name := mountName(t)
	if t.User != credentials.Anonymous {
		m.secrets = []string{"username", "password"}
	}
	if proxied {
		m.secrets = append(m.secrets, "proxy_username", "proxy_password")
	}
	line := []string{"noauto", "nofail", "_netdev", "x-systemd.automount"}
	if !file && len(m.secrets) > 0 {
		m.Credentials = "/etc/ftpfs-" + name + ".cred"
		if proxied { // nobody is asked for it
			opts = append([]string{"credentials=" + m.Credentials}, opts...)
		} else {
			line = append(line, "credentials="+m.Credentials)
		}
	}
	point := "/mnt/" + name
	m.Prepare = "mkdir -p " + shell(point)
	m.Command = "ftpfs "
	if len(opts) > 0 {
		m.Command += "-o " + shell(strings.Join(escaped(opts), ",")) + " "
	}
	m.Command += shell(t.String()) + " " + shell(point)
	for i, o := range opts {
		opts[i] = absolute(o)
	}
	m.Fstab = fstab(t.String()) + " " + fstab(point) + " ftpfs " + fstab(strings.Join(escaped(append(line, opts...)), ",")) + " 0 0"
	return m
}

// kept are the options that doctor was given, but for those that the URL says too and for
// passwords; file says that one of them names a file of credentials, and proxied that a
// password of a proxy is left away.
func kept(lists []string) (opts []string, file, proxied bool) {
	for _, l := range lists {
		for _, o := range option.Split(l) {
			key, value, _ := strings.Cut(o, "=")
			switch key = strings.ReplaceAll(key, "-", "_"); key {
			case "", "user", "username", "password", "pass", "port", "ssl", "explicit_tls", "trace_ftp", "debug", "log_level":
				continue
			case "ssl_control":
				o = "clear_data"
			case "tls":
				if value != "try" {
					continue
				}
			case "credentials", "cred":
				file = true
			}
			for _, span := range slices.Backward(target.Secret(o)) {
				o, proxied = o[:span[0]-1]+o[span[1]:], true // with the colon before it
			}
			opts = append(opts, o)
		}
	}
	return opts, file, proxied
}

// absolute makes the file that an option names fit for fstab.
func absolute(o string) string {
	key, value, _ := strings.Cut(o, "=")
	switch key {
	case "credentials", "cred", "cacert", "cert", "key", "cache_dir":
		if abs, err := filepath.Abs(value); err == nil {
			return key + "=" + abs
		}
	}
	return o
}

func escaped(opts []string) []string {
	var out []string
	for _, o := range opts {
		out = append(out, strings.ReplaceAll(strings.ReplaceAll(o, `\`, `\\`), ",", `\,`))
	}
	return out
}

// fstab writes a field as fstab(5) and its kin have it.
func fstab(s string) string {
	return strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`, "#", `\043`).Replace(s)
}

// mountName is a name for the mount point: that of the directory, else of the host.
func mountName(t target.Target) string {
	name := path.Base("/" + t.Dir)
	if name == "/" {
		name = t.Host
	}
	return strings.Map(func(r rune) rune {
		if r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)) {
			return r
		}
		return '_'
	}, strings.TrimLeft(name, "-."))
}

// marks of the levels.
var marks = map[doctor.Level]string{doctor.OK: " ", doctor.Note: "*", doctor.Problem: "!", doctor.Unknown: "?"}

const titleWidth = 17 // of the column of titles

// showExamined prints a report as a table.
func showExamined(out io.Writer, url string, rep *doctor.Report, m mountLines) {
	p := page{out: out, width: pageWidth(out)}
	fmt.Fprintf(out, "%s\n\n", plain(url))
	unknown := map[string][]string{} // titles by why nothing is known
	var whys []string
	counts := map[doctor.Level]int{}
	for _, f := range rep.Findings {
		counts[f.Level]++
		if f.Level == doctor.Unknown && len(f.More) == 0 {
			if unknown[f.Text] == nil {
				whys = append(whys, f.Text)
			}
			unknown[f.Text] = append(unknown[f.Text], f.Title)
			continue
		}
		p.row(marks[f.Level], f.Title, f.Text)
		for _, l := range f.More {
			p.row("", "", l)
		}
		p.detail("sent", f.Sent)
		p.detail("came", f.Came)
		p.detail("try", f.Try)
	}
	for _, why := range whys {
		title := "the rest"
		if len(unknown[why]) == 1 {
			title = unknown[why][0]
			p.row("?", title, why)
			continue
		}
		if rep.Verdict == doctor.Impossible {
			p.row("?", "all the rest", why)
			continue
		}
		p.row("?", title, why+": "+strings.Join(unknown[why], ", "))
	}
	fmt.Fprintln(out)
	switch rep.Verdict {
	case doctor.Impossible:
		fmt.Fprintln(out, "It cannot be mounted so.")
	case doctor.Cut:
		fmt.Fprintln(out, "The run was ended before all was found out.")
	default:
		p.text("It can be mounted"+also(counts)+".", "", "")
		fmt.Fprintln(out)
		for _, o := range rep.Options {
			p.row("", "option", o.Text+", for: "+o.Why)
		}
		p.width = 0 // what is to be pasted stays whole
		p.row("", "mount point", m.Prepare)
		p.row("", "mount", m.Command)
		p.row("", "/etc/fstab", m.Fstab)
		if m.Credentials != "" {
			p.row("", "credentials", m.Credentials+", mode 600, with the lines "+strings.Join(m.secrets, "=..., ")+"=...")
		}
	}
}

// also counts what is not as it should be.
func also(counts map[doctor.Level]int) string {
	var parts []string
	if n := counts[doctor.Problem]; n > 0 {
		parts = append(parts, "with "+count(n, "problem")+" (!)")
	}
	if n := counts[doctor.Note]; n > 0 {
		parts = append(parts, count(n, "thing")+" worth knowing (*)")
	}
	if n := counts[doctor.Unknown]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d not found out (?)", n))
	}
	if len(parts) == 0 {
		return ", and nothing stands in the way"
	}
	return "; " + strings.Join(parts, ", ")
}

// page lays out rows of mark, title and text.
type page struct {
	out   io.Writer
	width int // of lines; 0: as long as they are
}

func pageWidth(out io.Writer) int {
	if a, ok := out.(*answer); ok {
		out = a.out
	}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w >= 60 {
			return min(w-1, 110)
		}
	}
	return 110
}

func (p page) row(mark, title, text string) {
	p.text(plain(text), fmt.Sprintf("%1s %-*s ", mark, titleWidth, title), strings.Repeat(" ", titleWidth+3))
}

func (p page) detail(what, text string) {
	if text != "" {
		p.text(plain(text), strings.Repeat(" ", titleWidth+3)+fmt.Sprintf("%-5s", what), strings.Repeat(" ", titleWidth+8))
	}
}

// text wraps at blanks; what has none to be pasted in one piece stays whole.
func (p page) text(s, first, rest string) {
	line, indent := first, first
	for i, word := range strings.Split(s, " ") {
		if i > 0 && p.width > 0 && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > p.width && line != indent {
			fmt.Fprintln(p.out, strings.TrimRight(line, " "))
			line, indent = rest+word, rest
			continue
		}
		if i > 0 {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(p.out, strings.TrimRight(line, " "))
}
