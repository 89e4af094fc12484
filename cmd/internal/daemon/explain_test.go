package daemon

import (
	"errors"
	"strings"
	"testing"

	"ftpfs/cache/remote"
	"ftpfs/cmd/internal/target"
)

func TestExplain(t *testing.T) {
	tg := target.Target{Host: "h", Port: 21, User: "u", Dir: "pub"}
	for _, c := range []struct {
		err    error
		want   string
		absent bool
	}{
		{&remote.Error{Op: "connect to h:21", Kind: remote.Auth, Code: 530, Text: "Login\nincorrect."},
			"h:21 refuses user u or the password (the server said: 530 Login incorrect.)", false},
		{&remote.Error{Kind: remote.NotExist, Code: 550, Text: "No such"}, "h:21: directory pub does not exist (the server said: 550 No such)", false},
		{&remote.Error{Kind: remote.NotDir, Code: 550, Text: "No"}, "h:21: pub is not a directory (the server said: 550 No)", false},
		{&remote.Error{Kind: remote.Down, Err: errors.New(`unknown host "h"`)}, `h:21 cannot be reached: unknown host "h"`, true},
		{&remote.Error{Kind: remote.Timeout}, "h:21 does not answer", true},
		{&remote.Error{Kind: remote.Temporary, Code: 421, Text: "full"}, "h:21 takes no login now (the server said: 421 full)", true},
		{&remote.Error{Kind: remote.Protocol, Op: "connect", Text: "odd"}, "connect: bad answer from the server (odd)", false},
		{errors.New("plain"), "plain", false},
	} {
		if got := explain(tg, c.err); got != c.want || strings.Contains(got, "\n") {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
		if absent(c.err) != c.absent {
			t.Errorf("%v: absent is %v", c.err, !c.absent)
		}
	}
}

func TestMemoryLimitIsSane(t *testing.T) {
	if m := memoryLimit(); m < 256<<20 || m > 2<<30 {
		t.Errorf("%d", m)
	}
}
