package cache

import (
	"context"
	"encoding/hex"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ftpfs/cache/remote"
)

// Names on the server that are ours: ".ftpfs-", eight hex digits that tell the
// mount, a letter ('u' for an upload, 'o' for an old version that stepped aside),
// and eight at random. They are short, since a final name may have 255 bytes, and
// hidden from listings. Uploads that nobody works on any more are swept.
const tempPrefix, tempLen = ".ftpfs-", 7 + 8 + 1 + 8

func isTemp(name string) bool {
	if len(name) != tempLen || !strings.HasPrefix(name, tempPrefix) || name[15] != 'u' && name[15] != 'o' {
		return false
	}
	_, err := hex.DecodeString(name[7:15] + name[16:])
	return err == nil
}

// MountTag is the same at every mount of the same spool, and of no other. It is in
// every temporary name on the server, by which the store knows them for ours.
func MountTag(stateDir, identity string) string {
	host, _ := os.Hostname() // only to tell mounts apart
	h := fnv.New32a()
	for _, s := range []string{host, stateDir, identity} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// newTemp is a name that was never used; tree.mu is held.
func (t *Tree) newTemp(kind byte) string {
	var b [4]byte
	v := rand.Uint32()
	for i := range b {
		b[i] = byte(v >> (8 * i))
	}
	name := tempPrefix + t.tag + string(kind) + hex.EncodeToString(b[:])
	t.temps[name] = struct{}{}
	return name
}

// strayTemp says that name is an upload of ours that nobody works on.
func (t *Tree) strayTemp(name string) bool {
	_, inUse := t.temps[name]
	return !inUse && name[15] == 'u' && name[7:15] == t.tag
}

// removeTemp removes, in the background, what f's last upload may have left.
func (t *Tree) removeTemp(f *File) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.removeTempLocked(f)
}

func (t *Tree) removeTempLocked(f *File) {
	temp, name := f.tempPathLocked(), f.temp
	if temp == "" {
		return
	}
	f.setTempLocked("", nil)
	t.spawn(func() {
		err := t.store.Remove(t.ctx, temp)
		t.mu.Lock()
		delete(t.temps, name)
		t.mu.Unlock()
		if err != nil { // a later listing finds it
			t.cfg.Log.Debug("a temporary file may be left on the server", "path", temp, "err", err)
		}
	})
}

// doneTempLocked forgets f's temporary name, which has become a final one.
func (f *File) doneTempLocked() {
	delete(f.node.tree.temps, f.temp)
	f.setTempLocked("", nil)
}

// setTempLocked has the upload of f lie in dir under name. It stays there when f is moved
// elsewhere, and is found as long as dir is known, by whatever name: so f holds on to it.
func (f *File) setTempLocked(name string, dir *Node) {
	t, old := f.node.tree, f.tempDir
	f.temp, f.tempDir = name, dir
	if dir != nil {
		dir.refs++
	}
	if old != nil {
		t.unrefLocked(old)
	}
}

// uploadsInLocked are the owed files whose uploads lie in dir, or below it, while they
// themselves do not any more.
func (t *Tree) uploadsInLocked(dir *Node) (out []*File) {
	for f := range t.owed {
		if f.tempDir != nil && f.tempDir.withinLocked(dir) && !f.node.withinLocked(dir) {
			out = append(out, f)
		}
	}
	return out
}

// removeOld removes what uploads of an earlier session have left, as far as records
// tell: those that will not be resumed.
func (t *Tree) removeOld(temps []string) {
	for _, temp := range temps {
		if err := t.store.Remove(t.ctx, temp); err != nil && !remote.Is(err, remote.NotExist) {
			t.cfg.Log.Debug("a temporary file may be left on the server", "path", temp, "err", err)
		}
	}
}

// sweepLater removes leftovers of earlier sessions in the background.
func (t *Tree) sweepLater(dir string, names []string) {
	t.spawn(func() {
		for _, name := range names {
			err := t.store.Remove(t.ctx, join(dir, name))
			if remote.Is(err, remote.IsDir) {
				t.sweepScratch(dir, name)
				continue
			}
			if err != nil {
				t.cfg.Log.Debug("cannot sweep a temporary file", "path", join(dir, name), "err", err)
				return
			}
		}
		t.cfg.Log.Info("swept what interrupted uploads had left", "dir", dir, "files", len(names))
	})
}

// scratchTime is how long a Store may be at work in a scratch directory.
const scratchTime = 2 * time.Minute

// sweepScratch removes a scratch directory of a Store, with the directories in it, unless
// it is gone after a while.
func (t *Tree) sweepScratch(dir, name string) {
	t.mu.Lock()
	_, waits := t.temps[name]
	t.temps[name] = struct{}{}
	t.mu.Unlock()
	if waits {
		return
	}
	t.spawn(func() {
		select {
		case <-time.After(scratchTime):
		case <-t.ctx.Done():
		}
		if err := t.removeScratch(t.ctx, join(dir, name)); err != nil {
			t.cfg.Log.Debug("cannot sweep a scratch directory", "path", join(dir, name), "err", err)
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.temps, name)
	})
}

func (t *Tree) removeScratch(ctx context.Context, p string) error {
	ents, err := t.store.List(ctx, p)
	if remote.Is(err, remote.NotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range ents {
		if err := t.store.Rmdir(ctx, join(p, e.Name)); err != nil {
			return err
		}
	}
	return t.store.Rmdir(ctx, p)
}

// sweepNow empties a directory that holds nothing but uploads of ours, of files that
// were moved or removed meanwhile, and says whether it is worth trying again.
func (t *Tree) sweepNow(ctx context.Context, dir string) bool {
	for range 5 {
		ents, err := t.store.List(ctx, dir)
		if err != nil {
			return false
		}
		for _, e := range ents {
			if !isTemp(e.Name) || e.Name[7:15] != t.tag || e.Name[15] != 'u' {
				return false
			}
		}
		if len(ents) == 0 {
			return true
		}
		for _, e := range ents {
			t.mu.Lock()
			for f := range t.owed { // moved elsewhere while its upload goes on in here
				if f.temp != e.Name {
					continue
				}
				if f.holdsOnlyThereLocked() {
					t.mu.Unlock()
					return false
				}
				if f.ship != nil {
					f.ship.cancel()
				}
			}
			t.mu.Unlock()
			if remote.Is(t.store.Remove(ctx, join(dir, e.Name)), remote.IsDir) {
				t.removeScratch(ctx, join(dir, e.Name))
			}
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(50 * time.Millisecond):
		}
	}
	return false
}

// cacheFile is where the content of a published file goes.
func (t *Tree) cacheFile(id uint64) string {
	return filepath.Join(t.cfg.CacheDir, "p"+strconv.FormatUint(id, 10))
}
