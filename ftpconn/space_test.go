package ftpconn_test

import (
	"testing"

	"ftpfs/cache/remote"
	"ftpfs/test/ftpscript"
)

func TestSpaceByAVBL(t *testing.T) {
	srv, s := start(t, ftpscript.Options{Feat: []string{"AVBL", "SIZE", "MDTM"}}, nil)
	srv.Add(ftpscript.Rule{Verb: "AVBL", Instead: "213 4096"})
	sp, err := s.Statfs(t.Context())
	ok(t, "statfs", err)
	if sp != (remote.Space{Total: -1, Free: 4096}) {
		t.Errorf("got %+v", sp)
	}
}

func TestWhatTheServerDoesNotTellOfItsSpaceIsNotAskedAgain(t *testing.T) {
	srv, s := start(t, ftpscript.Options{Feat: []string{"AVBL", "SIZE", "MDTM"}}, nil)
	for range 3 {
		_, err := s.Statfs(t.Context())
		kind(t, "statfs", err, remote.Unsupported)
	}
	if got := srv.Since(0); len(got.Verbs("AVBL")) != 1 || len(got.Verbs("SITE QUOTA")) != 1 {
		t.Errorf("asked more than once: %v", got)
	}
}

// A trouble of the moment is not taken for a command that the server does not have, which
// would be remembered for a week.
func TestSpaceThatIsNotToldForAMomentIsAskedForAgain(t *testing.T) {
	srv, s := start(t, ftpscript.Options{Feat: []string{"AVBL", "SIZE", "MDTM"}}, nil)
	avbl := srv.Add(ftpscript.Rule{Verb: "AVBL", Instead: "451 Local error."})
	_, err := s.Statfs(t.Context())
	kind(t, "statfs", err, remote.Temporary)
	avbl.Remove()
	quota := srv.Add(ftpscript.Rule{Verb: "SITE QUOTA", Instead: "450 Busy."})
	mark := srv.Mark()
	_, err = s.Statfs(t.Context())
	kind(t, "statfs", err, remote.Temporary)
	if n := len(srv.Since(mark).Verbs("AVBL")); n != 1 {
		t.Errorf("AVBL was asked %d times after it was busy, want once: it is not known then", n)
	}
	quota.Remove()
	srv.Add(ftpscript.Rule{Verb: "SITE QUOTA", Instead: "200-Quota:\r\n Uploaded bytes:\t1000/3000\r\n200 Done."})
	sp, err := s.Statfs(t.Context())
	ok(t, "statfs", err)
	if sp != (remote.Space{Total: 3000, Free: 2000}) {
		t.Errorf("got %+v", sp)
	}
}
