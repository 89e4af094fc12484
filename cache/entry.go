package cache

import (
	"strings"
	"time"

	"ftpfs/cache/remote"
)

// entry is a remote.Entry without its name, packed: a million of them must fit
// into memory. Overlays hold what the user set and the server could not keep.
type entry struct {
	unique string
	rare   *rare // nil: none of it
	size   int64
	mtime  int64 // Unix seconds as the server has it
	mode   uint16
	typ    remote.EntryType
	grain  grain
	flags  uint8
}

// rare is what few entries have. Copies of an entry share it, so that it is replaced and never
// changed.
type rare struct {
	target *string // of a symlink; nil: not known
	shown  int64   // Unix seconds set here where the server kept another time, if shownSet
}

// target is that of a symlink, nil while it is not known.
func (e *entry) target() *string {
	if e.rare == nil {
		return nil
	}
	return e.rare.target
}

// shown is the time set here, if shownSet.
func (e *entry) shown() int64 {
	if e.rare == nil {
		return 0
	}
	return e.rare.shown
}

func (e *entry) setTarget(t *string) {
	if t != nil || e.rare != nil {
		e.rare = &rare{target: t, shown: e.shown()}
	}
}

func (e *entry) setShown(at int64) {
	e.rare, e.flags = &rare{target: e.target(), shown: at}, e.flags|shownSet
}

const (
	hasMode  = 1 << iota // the server tells the mode
	modeSet              // mode was set here and the server cannot keep it
	shownSet             // rare.shown is valid
	guessed              // of a directory: mtime is not the server's word, our own changes in it gave it another since
)

// grain of a time, ordered from unknown to exact.
type grain uint8

const (
	grainNone grain = iota
	grainDay
	grainMinute
	grainSecond
)

func grainOf(d time.Duration) grain {
	switch {
	case d <= 0:
		return grainNone
	case d <= time.Second:
		return grainSecond
	case d <= time.Minute:
		return grainMinute
	}
	return grainDay
}

func (g grain) duration() time.Duration {
	return [...]time.Duration{0, 24 * time.Hour, time.Minute, time.Second}[g]
}

func packEntry(r *remote.Entry) entry {
	e := entry{unique: r.Unique, size: r.Size, typ: r.Type, grain: grainOf(r.MGrain)}
	if e.grain != grainNone {
		e.mtime = r.MTime.Unix()
	}
	if r.HasMode {
		e.mode, e.flags = uint16(r.Mode&0o7777), hasMode
	}
	if r.Type == remote.Symlink && r.Target != "" {
		t := strings.Clone(r.Target)
		e.setTarget(&t)
	}
	return e
}

// version of the content that the server has under the name.
func (e *entry) version() remote.Version {
	v := remote.Version{Size: e.size, Unique: e.unique}
	if e.grain != grainNone {
		v.MTime, v.MGrain = time.Unix(e.mtime, 0), e.grain.duration()
	}
	return v
}

// time that the user sees.
func (e *entry) time() time.Time {
	if e.flags&shownSet != 0 {
		return time.Unix(e.shown(), 0)
	}
	return time.Unix(e.mtime, 0)
}

// show makes t and mode, where given, what the user sees until the server's file changes.
func (e *entry) showTime(t time.Time) { e.setShown(t.Unix()) }
func (e *entry) showMode(m uint32)    { e.mode, e.flags = uint16(m&0o7777), e.flags|modeSet|hasMode }

// inherit keeps from old, an earlier entry of the same name, what the server's
// new answer does not contradict: a time more exact than a coarse listing's, a
// link's target, and what was set here and could not be kept there.
func (e *entry) inherit(old *entry) {
	if e.typ != old.typ {
		return
	}
	if e.target() == nil && e.mtime == old.mtime {
		e.setTarget(old.target())
	}
	if old.flags&modeSet == 0 {
		e.inheritMode(old)
	}
	ov, nv := old.version(), e.version()
	if e.typ == remote.File && ov.Differs(nv) {
		return
	}
	if e.typ == remote.File && old.grain > e.grain {
		e.mtime, e.grain = old.mtime, old.grain
	}
	if old.flags&shownSet != 0 && (e.typ == remote.File || e.mtime == old.mtime || old.flags&guessed != 0) {
		e.setShown(old.shown())
	}
	if old.flags&modeSet != 0 && (e.typ == remote.File || e.flags&hasMode == 0 || e.mtime == old.mtime) {
		e.mode, e.flags = old.mode, e.flags|modeSet|hasMode
	}
}

// inheritMode keeps old's mode where an answer has none: a server may tell modes in
// listings only.
func (e *entry) inheritMode(old *entry) {
	if e.typ == old.typ && e.flags&hasMode == 0 && old.flags&hasMode != 0 {
		e.mode, e.flags = old.mode, e.flags|old.flags&(hasMode|modeSet)
	}
}

// Attr is what stat(2) needs of an inode.
type Attr struct {
	Ino     uint64
	Type    remote.EntryType
	Size    int64 // -1 when the server does not say
	MTime   time.Time
	Mode    uint32 // permission bits, if HasMode
	HasMode bool
	Nlink   uint32        // 0 for a file that was unlinked while open
	Valid   time.Duration // how long the kernel may keep attributes and the name
}
