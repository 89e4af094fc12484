package ftpconn

import (
	"testing"
	"time"

	"ftpfs/test/ftpscript"
)

// A survey that was refused is made once more after a while: the server may allow it by then.
func TestARefusedSurveyIsTriedAgain(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	s := New(Config{Host: srv.Host, Port: srv.Port, User: ftpscript.User, Password: ftpscript.Password, MountTag: "tag7"})
	defer s.Close()
	refused := srv.Add(ftpscript.Rule{Verb: "MKD", Instead: "550 Permission denied."})
	try := func() error { return s.Storable(t.Context(), "/x ") }
	if err := try(); err == nil || refused.Hits() == 0 {
		t.Fatalf("%v, %d tried", err, refused.Hits())
	}
	refused.Remove()
	ago := func(d time.Duration) {
		s.server.learn(func(f *facts) { f.names.failed = time.Now().Add(-d) })
	}
	ago(surveyPause - time.Minute)
	mark := srv.Mark()
	if err := try(); err == nil || len(srv.Since(mark).Verbs("MKD")) > 0 {
		t.Errorf("too soon: %v, %v", err, srv.Since(mark).Verbs("MKD"))
	}
	ago(surveyPause + time.Second)
	if err := try(); err != nil {
		t.Errorf("later: %v", err)
	}
	if surveyPause < time.Minute || surveyPause > time.Hour {
		t.Errorf("it is tried again after %v", surveyPause)
	}
}
