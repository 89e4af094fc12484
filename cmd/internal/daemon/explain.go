package daemon

import (
	"errors"
	"fmt"
	"strings"

	"ftpfs/cache/remote"
	"ftpfs/cmd/internal/target"
	"ftpfs/ftpconn"
)

// explain says in one line why the server could not be used.
func explain(t target.Target, err error) string {
	var e *remote.Error
	if !errors.As(err, &e) {
		return oneLine(err.Error())
	}
	var insecure *ftpconn.Insecure
	if errors.As(err, &insecure) {
		return oneLine(fmt.Sprintf("%s: %v", t.Addr(), insecure))
	}
	said := ""
	switch {
	case e.Code != 0:
		said = fmt.Sprintf(" (the server said: %d %s)", e.Code, e.Text)
	case e.Err != nil:
		said = ": " + e.Err.Error()
	case e.Text != "":
		said = ": " + e.Text
	}
	dir := t.Dir
	if dir == "" {
		dir = "the login directory"
	}
	switch e.Kind {
	case remote.Auth:
		return oneLine(fmt.Sprintf("%s refuses user %s or the password%s", t.Addr(), t.User, said))
	case remote.NotExist:
		return oneLine(fmt.Sprintf("%s: directory %s does not exist%s", t.Addr(), dir, said))
	case remote.NotDir:
		return oneLine(fmt.Sprintf("%s: %s is not a directory%s", t.Addr(), dir, said))
	case remote.Permission:
		return oneLine(fmt.Sprintf("%s: directory %s cannot be entered%s", t.Addr(), dir, said))
	case remote.Timeout:
		return oneLine(fmt.Sprintf("%s does not answer%s", t.Addr(), said))
	case remote.Down:
		return oneLine(fmt.Sprintf("%s cannot be reached%s", t.Addr(), said))
	case remote.Temporary:
		return oneLine(fmt.Sprintf("%s takes no login now%s", t.Addr(), said))
	case remote.Canceled:
		return "interrupted"
	}
	return oneLine(err.Error())
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// absent says that the server, not the request, is what failed: the mount may go
// on without it, if it is allowed to. Who has the wrong password is to be told,
// and who would be spoken to by somebody else's server.
func absent(err error) bool {
	k := remote.KindOf(err)
	if errors.As(err, new(*ftpconn.Insecure)) {
		return false
	}
	return k != remote.Auth && (k.Offline() || k == remote.Temporary)
}
