package mounted

import (
	"testing"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
)

// On servers that cannot set times rsync's second run sends nothing, and finds no other
// time, also after a restart.
func TestRsyncSendsNothingTwiceWhereTimesCannotBeSet(t *testing.T) {
	mount.Need(t, "rsync")
	for name, refused := range map[string][]string{
		"MLSD":          {"MFMT", "MFF"},
		"LIST and MDTM": {"MFMT", "MFF", "MLST", "MLSD"},
		"LIST alone":    {"MFMT", "MFF", "MLST", "MLSD", "MDTM"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := ftpscript.Start(t, ftpscript.Options{Refuse: refused})
			// MDTM YYYYMMDDhhmmss NAME asks for a file of that name.
			srv.Add(ftpscript.Rule{Verb: "MDTM", Match: func(c ftpscript.Command) bool { return isTimed(c.Arg) }, Instead: "550 No such file."})
			m := mountScript(t, srv, "dir_cache_time=1")
			local := site(t, 60)
			// Directories are as old as their files: what was made here in this second has
			// the time that it is to have by itself.
			mount.Run(t, local, "find", ".", "-type", "d", "-exec", "touch", "-d", "2019-03-04 05:06:07", "{}", "+")
			mount.Run(t, local, "rsync", "-a", "./", m.Path("site"))
			syncNow(t, m)
			again := func(when string, m *mount.Mount) {
				t.Helper()
				if said := mount.Run(t, local, "rsync", "-ai", "./", m.Path("site")); said != "" {
					t.Errorf("%s a second rsync -ai said:\n%s", when, firstLines(said, 10))
				}
				same(t, local, m.Path("site"))
			}
			again("at once", m)
			m.Unmount()
			m = m.Again(mount.Options{Password: ftpscript.Password, O: []string{"dir_cache_time=1"}})
			again("after a restart", m)
			m.Kill()
			m = m.Again(mount.Options{Password: ftpscript.Password, O: []string{"dir_cache_time=1"}})
			again("after kill -9", m)
		})
	}
}

// isTimed says whether arg is that of MDTM with a time before the name.
func isTimed(arg string) bool {
	return len(arg) > 15 && arg[0] != '/' && arg[14] == ' '
}
