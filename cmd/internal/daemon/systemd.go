package daemon

import (
	"fmt"
	"strconv"

	"github.com/coreos/go-systemd/v22/daemon"

	"ftpfs/cache"
	"ftpfs/cmd/internal/debt"
)

// tellSystemd shows in systemctl status how far the sending is.
func (d *Daemon) tellSystemd(p cache.Progress) {
	notify(fmt.Sprintf("STATUS=sending: %d of %s, %s of %s", p.FilesDone, debt.Files(p.Files),
		debt.Size(p.BytesDone), debt.Size(p.Bytes)))
}

// notifyStopping says that the end has begun, and asks for the time it may take: a unit
// with a shorter TimeoutStopSec would kill us in the middle. It never asks for more:
// the shutdown of a machine is not to wait for a slow server.
func notifyStopping(status string) {
	notify("STOPPING=1\nEXTEND_TIMEOUT_USEC=" + strconv.FormatInt(stopTime.Microseconds(), 10) + "\nSTATUS=" + status)
}

// notify tells systemd; without it, nobody.
func notify(state string) { _, _ = daemon.SdNotify(false, state) }
