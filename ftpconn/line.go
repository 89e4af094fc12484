package ftpconn

import (
	"path"
	"strings"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/listing"
	"ftpfs/ftpconn/wire"
)

// vsftpd has no MLST. SIZE and MDTM tell of plain files, but not their modes, and of devices
// and links to nothing they say what they say of nothing. Its STAT lists over the control
// connection, and so can be asked in the segment of the check before a rename.

// fewNames is how many names a directory may have for vsftpd to be asked for the line of
// one of them: it reads and matches them all, at 4 to 8 µs each.
const fewNames = 1000

// lineQuestion is the command that gives the line of p.Path in its directory's listing;
// "" where there is none, or no need. The name is a pattern to vsftpd; in braces it is not
// first taken for a directory, which would be listed.
func (ss *session) lineQuestion(p remote.Publish) string {
	k := ss.store.server.known()
	full := ss.path(p.Path)
	name := path.Base(full)
	if k.mlst || !k.is("vsftpd") || p.Among > fewNames || strings.ContainsAny(name, "{}*?,") {
		return ""
	}
	if !(p.Kept && p.Expect != nil || p.Unlisted && p.Expect == nil) {
		return ""
	}
	return "STAT " + strings.TrimSuffix(full, name) + "{" + name + "}"
}

// lineIn returns the entry of that name in the i-th reply, which is to a lineQuestion.
func (ss *session) lineIn(name string, rs []wire.Reply, i int) (e remote.Entry, told bool) {
	if i < 0 || !rs[i].OK() || len(rs[i].Lines) < 3 {
		return e, false
	}
	lines := listing.NewParser(time.Now(), time.UTC)
	for _, l := range rs[i].Lines[1 : len(rs[i].Lines)-1] {
		e, class, err := lines.Line(l)
		if err != nil || class != listing.IsEntry {
			continue
		}
		if ss.store.local(&e); e.Name == name {
			return e, true
		}
	}
	return e, false
}
