package listing

import (
	"strconv"
	"strings"
	"time"

	"ftpfs/cache/remote"
)

// vms reads listings of OpenVMS (TCP/IP Services, MultiNet, TCPware, CMU):
//
//	Directory DISK$USER:[ANN]
//
//	LOGIN.COM;12            4/9      24-JUL-2002 14:35:40  [USERS,ANN]  (RWED,RWED,RE,)
//	A_NAME_THAT_FILLS_ITS_COLUMN.TXT;1
//	                      170/171     2-JUN-1998 07:32  [ANN]  (RWED,RWED,,)
//	SRC.DIR;1               1        19-NOV-2001 21:41 [ANN] (RWE,RWE,RE,RE)
//
//	Total of 3 files, 175/181 blocks.
//
// A file is shown once, without its version: RETR, SIZE and RNFR of a name without
// version mean the newest, and STOR makes a newer one. A directory is shown as
// CWD and RMD take it, without ".DIR;1". Everything else of a name stays, also a
// dot at its end ("MAKEFILE."), so that no two names become one. Sizes are in
// blocks of 512 bytes that need not be full: the size is not known, unless there are none.
type vms struct {
	begun string         // the name that filled a line of its own
	shown map[string]int // the version of each file so far
}

func (v *vms) again() format { return new(vms) }
func (v *vms) halfway() bool { return v.begun != "" }

func (v *vms) read(line string, c clock) (e remote.Entry, k kind) {
	if v.begun != "" {
		name := v.begun
		if e, ok := vmsFacts(line, c); ok {
			v.begun = ""
			return v.entry(e, name)
		}
		return e, foreign
	}
	name, rest, ok := vmsName(line)
	if !ok {
		if isVMSHeader(line) {
			return e, header
		}
		return e, foreign
	}
	if strings.TrimSpace(rest) == "" {
		v.begun = name
		return e, half
	}
	if e, ok = vmsFacts(rest, c); !ok {
		return e, foreign
	}
	return v.entry(e, name)
}

// entry is that of NAME;VERSION, unless a newer version was there before. VMS lists the newest
// first; where one does not, the later line counts.
func (v *vms) entry(e remote.Entry, full string) (remote.Entry, kind) {
	at := strings.LastIndexByte(full, ';')
	name := full[:at]
	version, _ := strconv.Atoi(full[at+1:])
	if len(name) > 4 && strings.EqualFold(name[len(name)-4:], ".DIR") && version == 1 {
		e.Name, e.Type, e.Size = name[:len(name)-4], remote.Dir, -1
		return e, complete
	}
	if v.shown[name] > version {
		return e, aside
	}
	if v.shown == nil {
		v.shown = make(map[string]int)
	}
	v.shown[name] = version
	e.Name = name
	return e, complete
}

// vmsName takes NAME.TYPE;VERSION off the beginning of a line. A blank within a name
// comes as "^ ".
func vmsName(line string) (name, rest string, ok bool) {
	line = strings.TrimLeft(line, " ")
	for at := 0; ; {
		next := strings.IndexByte(line[at:], ';')
		if next <= 0 && at == 0 || next < 0 {
			return "", "", false
		}
		at += next + 1
		end := at
		for end < len(line) && isDigit(line[end]) {
			end++
		}
		if end == at || end-at > 5 || end < len(line) && line[end] != ' ' && line[end] != '\t' {
			continue
		}
		if strings.ContainsAny(strings.ReplaceAll(line[:at], "^ ", ""), " \t[]") {
			return "", "", false
		}
		return line[:end], line[end:], true
	}
}

// vmsFacts reads what stands behind a name, in whichever order: blocks used and
// allocated, date and time, owner, protection; or why that could not be told.
func vmsFacts(s string, c clock) (e remote.Entry, ok bool) {
	e = remote.Entry{Size: -1}
	var dated, sized, owned bool
	for {
		var column string
		if column, s = nextColumn(s); column == "" {
			return e, dated
		}
		used, allocated, _ := strings.Cut(column, "/")
		year, month, d, isDate := vmsDate(column)
		switch {
		case column[0] == '%': // %RMS-E-PRV, insufficient privilege or file protection violation
			return e, !dated
		case isDate && !dated:
			dated = true
			h, m, sec, grain := 0, 0, 0, day
			if word, after := nextColumn(s); strings.Contains(word, ":") {
				if h, m, sec, grain, ok = timeOfDay(word); !ok {
					return e, false
				}
				s = after
			}
			e.MTime, e.MGrain = c.at(year, month, d, h, m, sec, grain)
		case digits(used) && (allocated == "" || digits(allocated)) && !sized:
			sized = true
			if strings.Trim(used, "0") == "" {
				e.Size = 0
			}
		case column[0] == '[' && !owned:
			owned = true
			whole := column + s
			end := strings.IndexByte(whole, ']')
			if end < 0 { // cut to fit its column
				e.Owner = column[1:]
				break
			}
			e.Owner, s = whole[1:end], whole[end+1:]
			if group, owner, both := strings.Cut(e.Owner, ","); both {
				e.Group, e.Owner = group, owner
			}
		case column[0] == '(':
			protection, after, closed := strings.Cut(column+s, ")")
			if !closed {
				return e, false
			}
			s = after
			if e.Mode, e.HasMode = vmsMode(protection[1:]); !e.HasMode {
				return e, false
			}
		case dated && !owned && strings.IndexFunc(column, notInVMSName) < 0:
			owned = true
			e.Owner = column
		default:
			return e, false
		}
	}
}

func notInVMSName(r rune) bool {
	return !('A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '_' || r == '$' || r == '-')
}

// vmsDate reads 2-JUN-1998.
func vmsDate(s string) (year int, month time.Month, d int, ok bool) {
	parts := strings.Split(s, "-")
	if len(parts) != 3 {
		return 0, 0, 0, false
	}
	d, okDay := number(parts[0], 1, 2)
	month, okMonth := monthOf(parts[1])
	year, okYear := number(parts[2], 4, 4)
	return year, month, d, okDay && okMonth && okYear
}

// vmsMode reads the protection of system, owner, group and world; each may Read,
// Write, Execute and Delete.
func vmsMode(s string) (mode uint32, ok bool) {
	parts := strings.Split(s, ",")
	if len(parts) != 4 {
		return 0, false
	}
	for i, p := range parts {
		bits := uint32(0)
		for _, r := range p {
			switch r {
			case 'R':
				bits |= 4
			case 'W':
				bits |= 2
			case 'E':
				bits |= 1
			case 'D':
			default:
				return 0, false
			}
		}
		if i > 0 {
			mode = mode<<3 | bits
		}
	}
	return mode, true
}

// isVMSHeader knows the lines around the files.
func isVMSHeader(line string) bool {
	words := strings.Fields(line)
	if len(words) < 2 {
		return false
	}
	switch first := strings.ToUpper(words[0]); {
	case first == "DIRECTORY":
		return len(words) == 2 && strings.Contains(words[1], "[") && strings.HasSuffix(words[1], "]")
	case first == "TOTAL" && strings.EqualFold(words[1], "of"):
		words = words[1:]
		fallthrough
	case first == "TOTAL":
		return len(words) >= 3 && digits(words[1]) && strings.HasPrefix(strings.ToLower(words[2]), "file")
	}
	return strings.HasPrefix(words[0], "%DIRECT-W-NOFILES")
}
