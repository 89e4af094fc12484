package doctor

import (
	"context"
	"fmt"
	"path"
	"strings"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// tried are the names that a server may not keep, each with what is odd about it.
var tried = []struct{ what, name string }{
	{"with a blank at the end", "blank "},
	{"with a dot at the end", "dot."},
	{"with a blank at the beginning", " lead"},
	{"with brackets", "a[b]"},
	{"with * and ?", "a*b?"},
	{"with a tilde at the beginning", "~tilde"},
	{"with a minus at the beginning", "-a"},
	{"with a backslash", `back\slash`},
	{"with quotes", `q"u'o`},
	{"with a control character", "con\x01trol"},
	{"with a colon", "co:lon"},
	{"in UTF-8", "grün-日本"},
	{"that is not UTF-8 (Latin-1)", "gr\xfcn"},
	{"with the byte 0xFF", "a\xffb"},
	{"of 255 bytes", strings.Repeat("n", 255)},
}

// Names that differ in one respect.
const (
	lower, upper       = "twins", "TWINS"
	composed, combined = "\u00e9", "e\u0301"
	baseName           = "base"
	starName           = "st*r"
)

// others are the names of files that the probes make in the scratch directory.
var others = []string{plainName, hiddenName, baseName, lower, upper, composed, combined, "new", "old", "free", "read", "patch", "speed"}

// allNames are those of all files that may be in the scratch directory.
func allNames() []string {
	all := append([]string(nil), others...)
	for _, n := range tried {
		all = append(all, n.name)
	}
	return all
}

// names publishes a file under each name, as the mount does: by a rename. Each has a size
// of its own, by which it is known in the listing, whatever it is called there.
func (r *run) names(ctx context.Context) (Finding, error) {
	known, err := r.sizes(ctx) // of what is there already
	if err != nil {
		return Finding{}, err
	}
	refused, twins := map[string]wire.Reply{}, map[string]bool{}
	all := append(append([]struct{ what, name string }(nil), tried...),
		struct{ what, name string }{"", lower}, struct{ what, name string }{"", upper},
		struct{ what, name string }{"", composed}, struct{ what, name string }{"", combined})
	const first = 100 // above the sizes of other files there
	for i, n := range all {
		if _, there := known[first+i]; there { // of an attempt before
			continue
		}
		if n.what == "" { // the twin of one before: is that what has this name?
			size, err := r.d.Cmd(ctx, "SIZE "+r.d.Path(r.in(n.name)))
			if err != nil {
				return Finding{}, err
			}
			if size.OK() {
				twins[n.name] = true
				continue
			}
		}
		if f, err := r.put(ctx, baseName, strings.Repeat("x", first+i)); f != nil || err != nil {
			return deref(f), err
		}
		reply, err := r.move(ctx, baseName, n.name)
		if err != nil {
			return Finding{}, err
		}
		if !reply.OK() {
			refused[n.name] = reply
		}
	}
	got, err := r.sizes(ctx)
	if err != nil {
		return Finding{}, err
	}
	f := Finding{Level: OK}
	var no refusals
	kept := 0
	for i, n := range tried {
		name := Name{What: n.what, Name: escape(shorten(n.name)), Outcome: "kept"}
		is, there := got[first+i]
		refusal, isRefused := refused[n.name]
		switch {
		case isRefused:
			name.Outcome = "refused"
			no.add(n.what, n.name, refusal)
		case !there:
			name.Outcome = "lost"
			f.More = append(f.More, n.what+": accepted, and not there afterwards")
		case is != n.name:
			name.Outcome, name.Became = "changed", escape(shorten(is))
			f.More = append(f.More, fmt.Sprintf("%s: %s silently becomes %s", n.what, quoted(n.name), quoted(is)))
		default:
			kept++
		}
		r.rep.Facts.Names = append(r.rep.Facts.Names, name)
	}
	f.More = append(f.More, no.lines()...)
	if more, err := r.starred(ctx); err != nil {
		return Finding{}, err
	} else if more != "" {
		f.More = append(f.More, more)
	}
	n := len(tried)
	if got[first+n] == lower { // else nobody knows
		blind := twins[upper]
		r.rep.Facts.CaseBlind = &blind
		if blind {
			f.More = append(f.More, "upper and lower case are the same to it: names that differ only in that are one file")
		}
	}
	if twins[combined] {
		f.More = append(f.More, "the two ways of Unicode to write an é are the same to it")
	}
	f.Text = fmt.Sprintf("%d of %d odd ones are kept", kept, n)
	if kept == n {
		f.Text = fmt.Sprintf("all %d odd ones are kept", n)
	}
	if len(f.More) > 0 {
		f.Level = Note
		f.Try = "the mount refuses or parks what it knows to be changed; avoid such names"
	}
	return f, nil
}

// refusals are names that were refused, together where the server said the same.
type refusals []struct {
	whats []string
	said  string // of the first
	reply string
}

func (rs *refusals) add(what, name string, r wire.Reply) {
	words, _, _ := strings.Cut(r.String(), ": /") // the path, which is another each time
	for i := range *rs {
		if (*rs)[i].reply == words {
			(*rs)[i].whats = append((*rs)[i].whats, what)
			return
		}
	}
	*rs = append(*rs, struct {
		whats []string
		said  string
		reply string
	}{[]string{what}, "RNTO …/" + escape(shorten(name)) + ": " + plain(r.String()), words})
}

func (rs refusals) lines() (lines []string) {
	for _, r := range rs {
		lines = append(lines, "refused "+strings.Join(r.whats, ", ")+" ("+r.said+")")
	}
	return lines
}

// starred makes a directory with an asterisk in its name, which ProFTPD takes for a
// pattern. It returns what is wrong with it.
func (r *run) starred(ctx context.Context) (string, error) {
	const what = "of a directory with *"
	full := r.d.Path(r.in(starName))
	reply, err := r.d.Cmd(ctx, "MKD "+full)
	if err != nil {
		return "", err
	}
	if there, err := present(ctx, r.d, r.in(starName)); err != nil {
		return "", err
	} else if !there {
		return fmt.Sprintf("%s: MKD …/%s: %s", what, starName, plain(reply.String())), nil
	}
	if reply, err = r.d.Cmd(ctx, "CWD "+full); err != nil {
		return "", err
	}
	no, err := r.d.Cmd(ctx, "RMD "+full)
	switch {
	case err != nil:
		return "", err
	case !reply.OK():
		return fmt.Sprintf("%s: CWD …/%s: %s", what, starName, plain(reply.String())), nil
	case !no.OK():
		return fmt.Sprintf("%s: RMD …/%s: %s", what, starName, plain(no.String())), nil
	}
	return "", nil
}

// sizes are the names of the files in the scratch directory by their sizes.
func (r *run) sizes(ctx context.Context) (map[int]string, error) {
	entries, err := r.d.List(ctx, r.scratch)
	m := map[int]string{}
	for _, e := range entries {
		if e.Type == remote.File {
			m[int(e.Size)] = e.Name
		}
	}
	return m, err
}

// move renames a file in the scratch directory.
func (r *run) move(ctx context.Context, from, to string) (wire.Reply, error) {
	reply, err := r.d.Cmd(ctx, "RNFR "+r.d.Path(r.in(from)))
	if err != nil || reply.Class() != 3 {
		return reply, err
	}
	return r.d.Cmd(ctx, "RNTO "+r.d.Path(r.in(to)))
}

func shorten(name string) string {
	if len(name) > 40 {
		return name[:12] + "…" + name[len(name)-12:]
	}
	return name
}

func quoted(name string) string { return `"` + escape(shorten(path.Base(name))) + `"` }
