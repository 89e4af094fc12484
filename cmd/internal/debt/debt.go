// Package debt says in words what is not on the server yet. The daemon's log, its last
// line on stderr, systemd's status and the commands all say it alike.
package debt

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/docker/go-units"

	"ftpfs/cache"
)

// Debt is what a spool holds that the server has not.
type Debt struct {
	Files  int   // that will be sent without anybody's doing
	Bytes  int64 // of Files
	Open   int   // that programs had open for writing at the end
	Parked int   // that wait for a person
}

// Of a tree; ended says that its mount is gone, so that what is open cannot be closed
// any more and counts apart.
func Of(st cache.Status, ended bool) Debt {
	d := Debt{Files: st.OwedFiles, Bytes: st.OwedBytes, Parked: st.Parked}
	if ended {
		d.Files -= st.Open
		d.Open = st.Open
	}
	return d
}

// Owed is for example "3 files, 1.2 GiB still owed".
func (d Debt) Owed() string { return Files(d.Files) + ", " + Size(d.Bytes) + " still owed" }

// Left says what an ended mount leaves: for example "3 files, 1.2 GiB still owed; they
// will go out at the next mount". "" is nothing.
func (d Debt) Left() string {
	var parts []string
	if d.Files > 0 {
		they := "they"
		if d.Files == 1 {
			they = "it"
		}
		parts = append(parts, d.Owed()+"; "+they+" will go out at the next mount")
	}
	if d.Open > 0 {
		was := "were"
		if d.Open == 1 {
			was = "was"
		}
		parts = append(parts, Files(d.Open)+" "+was+" open for writing and may not be whole; after the next mount ftpfs retry sends what there is")
	}
	if d.Parked > 0 {
		parts = append(parts, d.ParkedLine()+"; ftpfs status says why after the next mount")
	}
	return strings.Join(parts, "; ")
}

// ParkedLine is for example "2 files are parked".
func (d Debt) ParkedLine() string {
	if d.Parked == 1 {
		return "1 file is parked"
	}
	return Files(d.Parked) + " are parked"
}

// Files is "1 file" or "2 files".
func Files(n int) string {
	if n == 1 {
		return "1 file"
	}
	return strconv.Itoa(n) + " files"
}

// Size in the units people read, powers of 1,024.
func Size(n int64) string {
	return units.CustomSize("%.4g %s", float64(max(n, 0)), 1024, []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"})
}

// Rate is Size in a second.
func Rate(perSecond float64) string {
	return fmt.Sprintf("%s/s", units.CustomSize("%.3g %s", max(perSecond, 0), 1024, []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}))
}
