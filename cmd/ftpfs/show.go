package main

import (
	"fmt"
	"io"
	"path"
	"time"

	"ftpfs/cache"
	"ftpfs/ftpconn"
)

// mostShown files of each kind; --json has all that the daemon tells.
const mostShown = 20

func show(out io.Writer, r report, now time.Time) {
	if len(r.Mounts) == 0 && len(r.Unmounted) == 0 {
		fmt.Fprintln(out, "nothing is mounted, and nothing is owed")
	}
	for i, m := range r.Mounts {
		if i > 0 {
			fmt.Fprintln(out)
		}
		showMount(out, m, now)
	}
	for i, s := range r.Unmounted {
		if i > 0 || len(r.Mounts) > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "%s (not mounted)\n", plain(s.URL))
		if s.Owed > 0 {
			line(out, "owed", fmt.Sprintf("%s, %s; sent after the next mount", count(s.Owed, "file"), size(s.OwedBytes)))
		}
		if s.Parked > 0 {
			line(out, "parked", count(s.Parked, "file")+"; kept until you decide, after the next mount")
		}
		line(out, "spool", plain(s.SpoolDir))
		again := "ftpfs " + shell(s.URL) + " " + shell(s.Mountpoint)
		if s.CacheDir != "" {
			again = "ftpfs -o cache_dir=" + shell(s.CacheDir) + " " + shell(s.URL) + " " + shell(s.Mountpoint)
		}
		line(out, "mount", again)
	}
}

func line(out io.Writer, key, value string) { fmt.Fprintf(out, "  %-12s %s\n", key, value) }

func showMount(out io.Writer, m mountReport, now time.Time) {
	switch m.State {
	case "draining":
		fmt.Fprintf(out, "%s (unmounted from %s, still sending)\n", plain(m.URL), plain(m.Mountpoint))
	case "detached":
		fmt.Fprintf(out, "%s (unmounted from %s, still in use)\n", plain(m.URL), plain(m.Mountpoint))
	default:
		fmt.Fprintf(out, "%s at %s\n", plain(m.URL), plain(m.Mountpoint))
	}
	if m.Error != "" {
		line(out, "daemon", plain(m.Error))
		if m.Cache.OwedFiles > 0 {
			line(out, "owed", fmt.Sprintf("%s, %s; sent after the next mount", count(m.Cache.OwedFiles, "file"), size(m.Cache.OwedBytes)))
		}
		if m.Cache.Parked > 0 {
			line(out, "parked", count(m.Cache.Parked, "file")+"; kept until you decide, after the next mount")
		}
		if m.Cache.SpoolDir != "" {
			line(out, "spool", plain(m.Cache.SpoolDir))
		}
		if m.Log != "" {
			line(out, "log", plain(m.Log)+" says why, unless it was killed, or ran with -f")
		}
		return
	}
	c := m.Cache
	line(out, "server", server(m, now))
	line(out, "encryption", encryption(m.Connections.TLS))
	owed := "nothing"
	if c.OwedFiles > 0 {
		owed = fmt.Sprintf("%s, %s", count(c.OwedFiles, "file"), size(c.OwedBytes))
	}
	line(out, "owed", owed)
	shown := 0
	for _, f := range c.Owed {
		if settledBy(f) {
			continue
		}
		if shown++; shown > mostShown {
			fmt.Fprintf(out, "    and %d more\n", c.OwedFiles-mostShown)
			break
		}
		showOwed(out, m, f, now)
	}
	if c.Parked > 0 {
		line(out, "parked", count(c.Parked, "file")+", kept here until you decide")
		shown = 0
		for _, f := range c.Owed {
			if !settledBy(f) {
				continue
			}
			if shown++; shown > mostShown {
				fmt.Fprintf(out, "    and %d more; ftpfs status --json lists them\n", c.Parked-mostShown)
				break
			}
			showParked(out, m, f)
		}
	}
	if c.Quarantined > 0 {
		line(out, "quarantined", count(c.Quarantined, "record")+" that could not be trusted after a crash, in "+
			plain(path.Join(c.SpoolDir, "quarantine")))
	}
	showConflicts(out, m, now)
	line(out, "cache", fmt.Sprintf("%s of %s; %s in %s known", size(c.CacheUsed), size(c.CacheSize),
		count(c.Entries, "name"), directories(c.Listings)))
	line(out, "spool", fmt.Sprintf("%s of %s in %s", size(c.SpoolUsed), size(c.SpoolSize), plain(c.SpoolDir)))
	line(out, "connections", connections(m))
	line(out, "daemon", fmt.Sprintf("process %d, version %s, for %s", m.PID, m.Version, ago(m.Since, now)))
	if m.Log != "" {
		line(out, "log", plain(m.Log))
	}
}

// showConflicts lists the newest first.
func showConflicts(out io.Writer, m mountReport, now time.Time) {
	all := m.Cache.Conflicts
	if len(all) == 0 {
		return
	}
	line(out, "conflicts", count(len(all), "file")+" changed here and on the server; both were kept")
	for i := range all {
		if i == mostShown {
			fmt.Fprintf(out, "    and %d earlier; ftpfs status --json lists them\n", len(all)-mostShown)
			break
		}
		c := &all[len(all)-1-i]
		fmt.Fprintf(out, "    %s, %s ago: ", plain(local(m, c.Name())), ago(c.At, now))
		switch c.What {
		case cache.TheirsRemoved:
			fmt.Fprintln(out, "it had been removed or renamed on the server; ours has the name again")
		case cache.TheirsReplaced:
			fmt.Fprintf(out, "something else has the name on the server; ours is\n      %s\n", plain(local(m, c.CopyName())))
		case cache.NameTaken:
			fmt.Fprintf(out, "a newer file has the name; this one, found in the spool at a start, is\n      %s\n", plain(local(m, c.CopyName())))
		default:
			fmt.Fprintf(out, "theirs has the name, ours is\n      %s\n", plain(local(m, c.CopyName())))
		}
	}
	fmt.Fprintf(out, "    remove or rename our copy when you have looked, and its line goes\n")
}

func server(m mountReport, now time.Time) string {
	if !m.Cache.Online {
		s := "down"
		if t := m.Cache.DownSince; t != nil {
			s += fmt.Sprintf(" since %s (%s)", t.Local().Format("15:04:05"), ago(*t, now))
		}
		if m.Cache.LastError != "" {
			s += ": " + plain(m.Cache.LastError)
		}
		return s
	}
	if m.Connections.Refused != "" {
		return "refuses the login: " + plain(m.Connections.Refused) + "; ftpfs retry " + shell(m.Mountpoint) + " tries again"
	}
	s := "online"
	if m.Connections.Software != "" {
		s += ", " + plain(m.Connections.Software)
	}
	return s
}

// encryption says what protects the connections.
func encryption(t ftpconn.TLSStats) string {
	var s string
	switch {
	case t.Version != "":
		s = plain(t.Version)
		if t.Data == "clear" {
			s += " for commands; data in clear"
		} else if t.DataHandshakes > 0 {
			s += fmt.Sprintf("; %d of %d data connections resumed the session", t.DataResumed, t.DataHandshakes)
		}
		if t.Asked == "try" {
			s += " (tls=try)"
		}
		return s
	case t.Refused != "":
		return "none: tls=try, and the server refuses it (" + plain(t.Refused) + ")"
	case t.Asked != "off":
		return "none so far (tls=" + t.Asked + ")"
	case t.InClear != "":
		return "none: " + plain(t.InClear)
	}
	return "none"
}

func connections(m mountReport) string {
	c := m.Connections
	s := fmt.Sprintf("%d open, %d busy, at most %d", c.Open, c.Busy, c.Max)
	if c.Passive == "active" {
		s += ", in active mode"
		if c.Because != "" {
			s += " (passive fails: " + plain(c.Because) + ")"
		}
	}
	if c.Proxy != "" {
		s += ", through " + plain(c.Proxy)
	}
	if c.LearnedCap > 0 {
		s += fmt.Sprintf(" (the server allows %d)", c.LearnedCap)
	}
	if c.Waiting > 0 {
		s += fmt.Sprintf(", %d waiting for one", c.Waiting)
	}
	switch {
	case c.Full != "":
		s += ": the server has none left for this mount, others have them (" + plain(c.Full) + ")"
	case c.Queued:
		s += ": another mount of this server has its turn"
	}
	return s
}

func directories(n int) string {
	if n == 1 {
		return "1 directory"
	}
	return fmt.Sprintf("%d directories", n)
}

// settledBy says that a file waits for a person.
func settledBy(f cache.OwedFile) bool { return f.State == "parked" || f.State == "interrupted" }

// local is the path of a file as the user sees it.
func local(m mountReport, p string) string { return path.Join(m.Mountpoint, p) }

func showOwed(out io.Writer, m mountReport, f cache.OwedFile, now time.Time) {
	s := fmt.Sprintf("    %-10s %s  %s", f.State, plain(local(m, f.Name())), size(f.Size))
	if f.State == "uploading" && f.Size > 0 {
		s += fmt.Sprintf(" (%d %%)", min(f.Sent, f.Size)*100/f.Size)
	}
	if f.Open && f.State != "open" {
		s += ", still being written"
	}
	if !f.Since.IsZero() {
		s += ", for " + ago(f.Since, now)
	}
	if f.Error != "" && f.Attempts > 0 {
		s += fmt.Sprintf("; attempt %d failed: %s", f.Attempts, plain(f.Error))
	} else if f.Error != "" { // it was not tried
		s += "; " + plain(f.Error)
	}
	fmt.Fprintln(out, s)
}

func showParked(out io.Writer, m mountReport, f cache.OwedFile) {
	p := local(m, f.Name())
	why := f.Error
	if why == "" && f.State == "interrupted" {
		why = "it was open when the daemon ended"
	}
	fmt.Fprintf(out, "    %s  %s\n", plain(p), size(f.Size))
	fmt.Fprintf(out, "      %s\n", plain(why))
	fmt.Fprintf(out, "      ftpfs retry %s    to send it again\n", shell(p))
	fmt.Fprintf(out, "      ftpfs discard %s    to give it up; what is here is kept\n", shell(p))
}
