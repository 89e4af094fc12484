package listing

import (
	"slices"
	"strings"
	"time"

	"ftpfs/cache/remote"
)

// mvs reads listings of z/OS (MVS, OS/390) outside its Unix part: of datasets
//
//	Volume Unit    Referred Ext Used Recfm Lrecl BlkSz Dsorg Dsname
//	WORK01 3390   2024/05/21  1  200  FB      80 27920  PS  PAYROLL.INPUT
//	WORK01 3390   2024/05/21  1   15  FB      80 27920  PO  PAYROLL.CNTL
//	Migrated                                                PAYROLL.Y2019
//
// and of the members of one:
//
//	 Name     VV.MM   Created       Changed      Size  Init   Mod   Id
//	BACKUP    01.03 2023/09/12 2024/05/21 09:37    11    11     0 ANN
//	RESTORE
//
// Only their headers tell them from other text: without one nothing is believed. A
// dataset that holds members, or generations, is entered like a directory. Sizes
// are in records or tracks, so that none is known in bytes; the date of a dataset
// is that of its last use, which tells nothing of a change.
type mvs struct{ of mvsListing }

type mvsListing uint8

const (
	mvsUnknown mvsListing = iota
	mvsDatasets
	mvsMembers // with statistics
	mvsModules // of a load library
)

var mvsHeaders = map[mvsListing][]string{
	mvsDatasets: {"Volume", "Unit", "Referred", "Ext", "Used", "Recfm", "Lrecl", "BlkSz", "Dsorg", "Dsname"},
	mvsMembers:  {"Name", "VV.MM", "Created", "Changed", "Size", "Init", "Mod", "Id"},
	mvsModules:  {"Name", "Size", "TTR", "Alias-of", "AC"},
}

func (m *mvs) again() format { return &mvs{of: m.of} }
func (m *mvs) halfway() bool { return false }

func (m *mvs) read(line string, c clock) (e remote.Entry, k kind) {
	fields := strings.Fields(line)
	for of, words := range mvsHeaders {
		if len(fields) >= len(words) && slices.Equal(fields[:len(words)], words) && (m.of == mvsUnknown || m.of == of) {
			m.of = of
			return e, header
		}
	}
	if m.of == mvsUnknown || len(fields) == 0 {
		return e, foreign
	}
	e = remote.Entry{Size: -1}
	ok := false
	if m.of == mvsDatasets {
		ok = mvsDataset(&e, fields)
	} else if line[0] != ' ' || line[1] != ' ' {
		ok = mvsMember(&e, fields, m.of, c)
	}
	if !ok {
		return e, foreign
	}
	return e, complete
}

// mvsDataset reads a line about a dataset. Where columns run into each other
// ("1+++++") there are fewer of them.
func mvsDataset(e *remote.Entry, f []string) bool {
	n := len(f)
	e.Name = f[n-1]
	if !mvsName(e.Name, 44) {
		return false
	}
	switch {
	case n == 2 && f[0] == "Migrated", n == 6 && f[0] == "ARCIVE", n == 3 && f[1] == "Tape":
		return true
	case n == 2 && f[0] == "GDG", n == 3 && f[0] == "Pseudo" && f[1] == "Directory":
		e.Type = remote.Dir
		return true
	case n >= 3 && f[n-2] == "VSAM", n >= 4 && f[0] == "Error", n >= 4 && f[0] == "User" && f[1] == "catalog":
		e.Type = remote.Other // there, but nothing to transfer
		return true
	case n < 8 || n > 10 || !isMVSDate(f[2]):
		return false
	}
	switch organization := f[n-2]; organization {
	case "PS", "PS-L", "PS-B", "PS-E", "PSU", "DA", "DAU", "NONE": // which was never opened
	case "PO", "PO-E", "POU":
		e.Type = remote.Dir
	default:
		return false
	}
	return true
}

func isMVSDate(s string) bool {
	_, err := time.Parse("2006/01/02", s)
	return err == nil || s == "**NONE**"
}

// mvsMember reads a line about a member; without statistics it has a name only.
func mvsMember(e *remote.Entry, f []string, of mvsListing, c clock) bool {
	e.Name = f[0]
	switch {
	case !mvsName(e.Name, 8):
		return false
	case len(f) == 1:
		return true
	case of == mvsModules:
		return len(f) >= 3 && strings.Trim(f[1], "0123456789ABCDEF") == "" && strings.Trim(f[2], "0123456789ABCDEF") == ""
	case len(f) < 8 || len(f) > 9 || len(f[1]) != 5 || f[1][2] != '.':
		return false
	}
	if len(f) == 9 {
		e.Owner = f[8]
	}
	date, err := time.Parse("2006/01/02", f[3])
	h, m, sec, grain, ok := timeOfDay(f[4])
	if err == nil && ok {
		e.MTime, e.MGrain = c.at(date.Year(), date.Month(), date.Day(), h, m, sec, grain)
	}
	return err == nil && ok && digits(f[5]) && digits(f[6]) && digits(f[7])
}

func mvsName(s string, most int) bool {
	return len(s) <= most && s != "" && !isDigit(s[0]) && strings.Trim(strings.ToUpper(s), "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789$#@.-{") == ""
}
