package fs

import (
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"ftpfs/cache"
	"ftpfs/cache/remote"
)

func testMount(cfg Config) *mount {
	cfg = cfg.withDefaults()
	return newMount(cfg, nil)
}

func u32(v uint32) *uint32 { return &v }

func TestModes(t *testing.T) {
	file, dir := remote.File, remote.Dir
	for _, c := range []struct {
		name string
		cfg  Config
		a    cache.Attr
		want uint32
	}{
		{"file", Config{}, cache.Attr{Type: file}, 0o644},
		{"dir", Config{}, cache.Attr{Type: dir}, 0o755},
		{"umask, file", Config{Umask: u32(0o002)}, cache.Attr{Type: file}, 0o664},
		{"umask, dir", Config{Umask: u32(0o077)}, cache.Attr{Type: dir}, 0o700},
		{"server's", Config{}, cache.Attr{Type: file, Mode: 0o4751, HasMode: true}, 0o4751},
		{"server's under umask", Config{Umask: u32(0o027)}, cache.Attr{Type: file, Mode: 0o777, HasMode: true}, 0o750},
		{"server's zero", Config{}, cache.Attr{Type: file, HasMode: true}, 0},
		{"file_mode", Config{FileMode: 0o600}, cache.Attr{Type: file}, 0o600},
		{"symlink", Config{Umask: u32(0o077)}, cache.Attr{Type: remote.Symlink, Mode: 0o700, HasMode: true}, 0o777},
	} {
		if got := testMount(c.cfg).mode(&c.a); got != c.want {
			t.Errorf("%s: got %o, want %o", c.name, got, c.want)
		}
	}
}

func TestFillEntry(t *testing.T) {
	m := testMount(Config{UID: 1000, GID: 100})
	a := cache.Attr{Ino: 42, Type: remote.File, Size: 1025, MTime: time.Unix(1_600_000_000, 999),
		Mode: 0o640, HasMode: true, Nlink: 1, Valid: 1500 * time.Millisecond}
	var out fuse.EntryOut
	m.fillEntry(&a, &out)
	want := fuse.Attr{Ino: 42, Size: 1025, Blocks: 3, Blksize: ioSize, Mode: syscall.S_IFREG | 0o640, Nlink: 1,
		Atime: 1_600_000_000, Mtime: 1_600_000_000, Mtimensec: 999, Ctime: 1_600_000_000, Owner: fuse.Owner{Uid: 1000, Gid: 100}}
	if out.Attr != want {
		t.Errorf("got  %+v\nwant %+v", out.Attr, want)
	}
	if out.EntryTimeout() != a.Valid || out.AttrTimeout() != a.Valid {
		t.Errorf("timeouts %v and %v, want %v", out.EntryTimeout(), out.AttrTimeout(), a.Valid)
	}
}

func TestFillOddEntries(t *testing.T) {
	m := testMount(Config{})
	fill := func(a cache.Attr) fuse.Attr {
		var out fuse.Attr
		m.fill(&a, &out)
		return out
	}
	if got := fill(cache.Attr{Ino: 1, Size: -1}); got.Size != 0 || got.Mtime != 0 || !m.odd.get(1).sizeless {
		t.Errorf("unknown size and time: %+v, oddity %+v", got, m.odd.get(1))
	}
	if fill(cache.Attr{Ino: 1, Size: 5}); m.odd.get(1).sizeless {
		t.Error("the size is known now")
	}
	if got := fill(cache.Attr{Type: remote.Dir, Nlink: 2}); got.Nlink != 1 || got.Size != dirSize {
		t.Errorf("directory: %+v", got)
	}
	if got := fill(cache.Attr{Type: remote.Dir, Nlink: 0}); got.Nlink != 0 {
		t.Errorf("removed directory has %d links", got.Nlink)
	}
	if got := fill(cache.Attr{Type: remote.Other}); got.Mode&syscall.S_IFMT != syscall.S_IFSOCK {
		t.Errorf("a device shows as %o", got.Mode)
	}
	if got := fill(cache.Attr{MTime: time.Unix(-86400, 0)}); int64(got.Mtime) != -86400 {
		t.Errorf("1969 shows as %d", int64(got.Mtime))
	}
}

func TestSetIDsAreNotedAndTaken(t *testing.T) {
	var o oddities
	a := cache.Attr{Ino: 9, Mode: 0o6755, HasMode: true}
	o.note(&a)
	if got := withoutSetIDs(o.get(9).mode); got != 0o755 {
		t.Errorf("after a write: %o, want 755", got)
	}
	if got := withoutSetIDs(0o2644); got != 0o2644 {
		t.Errorf("set-group-ID without execute is mandatory locking: got %o", got)
	}
	o.forget(9)
	if o.get(9) != (oddity{}) || o.n.Load() != 0 {
		t.Error("not forgotten")
	}
}

func TestStatfs(t *testing.T) {
	for _, c := range []struct {
		space               remote.Space
		blocks, free, avail uint64
	}{
		{remote.Space{Total: -1, Free: -1}, statfsPlenty, statfsPlenty, statfsPlenty},
		{remote.Space{Total: 8192, Free: 4096}, 2, 1, 1},
		{remote.Space{Total: -1, Free: 0}, statfsPlenty, 0, 0},
		{remote.Space{Total: 8192, Free: -1}, 2, 2, 2},
		{remote.Space{Total: 4096, Free: 8192}, 2, 2, 2},
	} {
		var out fuse.StatfsOut
		fillStatfs(c.space, &out)
		if out.Blocks != c.blocks || out.Bfree != c.free || out.Bavail != c.avail || out.NameLen != 255 || out.Bsize != 4096 || out.Frsize != 4096 {
			t.Errorf("%+v: got %+v", c.space, out)
		}
	}
}

func TestSetattrAsksForNoMoreThanItWas(t *testing.T) {
	m := testMount(Config{UID: 1000, GID: 100})
	in := func(valid uint32) *fuse.SetAttrIn {
		x := &fuse.SetAttrIn{}
		x.Valid, x.Uid, x.Gid, x.Size, x.Mode = valid, 1000, 100, 7, 0o100600
		x.Mtime, x.Mtimensec = 1_600_000_000, 5
		return x
	}
	if set := m.setOf(in(fuse.FATTR_ATIME|fuse.FATTR_UID|fuse.FATTR_GID|fuse.FATTR_CTIME), 0); set != (cache.Set{}) {
		t.Errorf("access time and own ids: %+v", set)
	}
	set := m.setOf(in(fuse.FATTR_SIZE|fuse.FATTR_MODE|fuse.FATTR_MTIME), 0)
	if *set.Size != 7 || *set.Mode != 0o600 || !set.MTime.Equal(time.Unix(1_600_000_000, 0)) {
		t.Errorf("got size %d, mode %o, time %v", *set.Size, *set.Mode, set.MTime)
	}
	if set := m.setOf(in(fuse.FATTR_SIZE|fuse.FATTR_KILL_SUIDGID), 0o4755); set.Mode == nil || *set.Mode != 0o755 {
		t.Errorf("truncation leaves set-user-ID: %+v", set)
	}
	other := in(fuse.FATTR_UID)
	other.Uid = 0
	if m.ownersOnly(other) || !m.ownersOnly(in(fuse.FATTR_UID|fuse.FATTR_GID)) {
		t.Error("owners: only the mount's own may be given")
	}
}
