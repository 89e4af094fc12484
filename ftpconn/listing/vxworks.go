package listing

import (
	"slices"
	"strings"

	"ftpfs/cache/remote"
)

// vxworks reads lines as VxWorks prints them, and the routers and controllers built on it:
//
//	  size          date       time       name
//	--------       ------     ------    --------
//	    1024    Feb-28-1998  05:23:30   name
//	    2048    Feb-28-1998  05:23:30   name              <DIR>
//
// The names are of a FAT file system, which has none that ends so.
type vxworks struct{}

func (v *vxworks) again() format { return v }
func (v *vxworks) halfway() bool { return false }

func (v *vxworks) read(line string, c clock) (remote.Entry, kind) {
	if slices.Equal(strings.Fields(line), []string{"size", "date", "time", "name"}) {
		return remote.Entry{}, header
	}
	if e, ok := vxworksLine(line, c); ok {
		return e, complete
	}
	return remote.Entry{}, foreign
}

func vxworksLine(line string, c clock) (e remote.Entry, ok bool) {
	e = remote.Entry{Size: -1}
	column, rest := nextColumn(line)
	size, ok := unixSize(column, '-')
	if !ok || !digits(column) {
		return e, false
	}
	column, rest = nextColumn(rest)
	parts := strings.Split(column, "-")
	if len(parts) != 3 {
		return e, false
	}
	month, isMonth := monthOf(parts[0])
	d, isDay := number(parts[1], 1, 2)
	year, isYear := number(parts[2], 4, 4)
	column, rest = nextColumn(rest)
	h, m, sec, grain, isTime := timeOfDay(column)
	if !isMonth || !isDay || !isYear || !isTime || grain == 0 || rest == "" {
		return e, false
	}
	e.MTime, e.MGrain = c.at(year, month, d, h, m, sec, grain)
	e.Name = strings.TrimLeft(rest, " ")
	if name, isDir := strings.CutSuffix(e.Name, "<DIR>"); isDir {
		e.Name, e.Type = strings.TrimRight(name, " "), remote.Dir
		return e, true
	}
	e.Name, e.Size = strings.TrimRight(e.Name, " "), size
	return e, true
}
