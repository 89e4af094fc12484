package ftpscript

import (
	"fmt"
	"io"
	"path"
	"strings"
	"time"
)

func (c *session) list(_ string, cmd Command) string {
	o := &c.srv.opts
	entries, ok := c.srv.Tree.list(cmd.Path)
	if f, isFile := c.srv.Tree.Stat(cmd.Path); !ok && isFile && cmd.Verb != "MLSD" {
		entries, ok = []File{f}, true
	}
	if !ok {
		return "550 No such directory."
	}
	lines := make([]string, len(entries))
	for i, f := range entries {
		switch name := path.Base(f.Path); cmd.Verb {
		case "NLST":
			lines[i] = c.encode(name)
		case "MLSD":
			lines[i] = facts(f) + " " + c.encode(name)
		default:
			lines[i] = o.line(f) + " " + c.encode(name)
		}
	}
	if self, isDir := c.srv.Tree.Stat(cmd.Path); o.ListSelf && isDir && self.Dir {
		switch cmd.Verb {
		case "MLSD":
			stamp := "modify=" + self.MTime.Format(stampLayout) + ";"
			lines = append([]string{"type=cdir;" + stamp + " .", "type=pdir;" + stamp + " .."}, lines...)
		case "LIST":
			lines = append([]string{o.line(self) + " .", o.line(self) + " .."}, lines...)
		}
	}
	if change := o.Listing; change != nil {
		lines = change(cmd.Verb, cmd.Path, lines)
	}
	return c.move(func(conn *throttled) error {
		var b strings.Builder
		for _, l := range lines {
			b.WriteString(l + "\r\n")
		}
		_, err := io.WriteString(conn, b.String())
		return err
	})
}

func facts(f File) string {
	if f.Dir {
		return fmt.Sprintf("type=dir;modify=%s;unix.mode=%04o;", f.MTime.Format(stampLayout), f.Mode)
	}
	return fmt.Sprintf("type=file;size=%d;modify=%s;unix.mode=%04o;", f.Size, f.MTime.Format(stampLayout), f.Mode)
}

// line is what LIST says before the name, in the server's zone.
func (o *Options) line(f File) string {
	at := f.MTime
	if o.Zone != nil {
		at = at.In(o.Zone)
	}
	if o.DOSLines {
		return dosLine(f, at)
	}
	return unixLine(f, at)
}

// unixLine is what ls -l prints: minutes for half a year, else days.
func unixLine(f File, at time.Time) string {
	mode := []byte("-rwxrwxrwx")
	for i := range 9 {
		if f.Mode&(1<<(8-i)) == 0 {
			mode[i+1] = '-'
		}
	}
	links := 1
	if f.Dir {
		mode[0], links = 'd', 2
	}
	stamp := at.Format("Jan _2 15:04")
	if age := time.Since(f.MTime); age > 180*24*time.Hour || age < -time.Hour {
		stamp = at.Format("Jan _2  2006")
	}
	return fmt.Sprintf("%s %3d ftp      ftp      %12d %s", mode, links, f.Size, stamp)
}

// dosLine is what dir prints, as Microsoft's server does: minutes, without seconds.
func dosLine(f File, at time.Time) string {
	stamp := at.Format("01-02-06  03:04PM")
	if f.Dir {
		return stamp + "       <DIR>         "
	}
	return fmt.Sprintf("%s %20d", stamp, f.Size)
}
