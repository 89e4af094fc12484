package mem

import (
	"io/fs"
	"slices"
	"sort"
	"time"

	"ftpfs/cache/remote"
)

// What follows is what another client of the server, or someone at its console,
// does and sees. Errors have the kinds a Store gives them. Nothing here is
// counted, hooked, held or ends when a store is offline.

// ReadFile returns a copy of a file's content.
func (d *Disk) ReadFile(p string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(p, true)
	if err != nil {
		return nil, wrap("read", p, err)
	}
	if n.kind != remote.File {
		return nil, &remote.Error{Op: "read", Path: p, Kind: remote.IsDir}
	}
	return append([]byte{}, n.data...), nil
}

// WriteFile makes a file hold data, all at once.
func (d *Disk) WriteFile(p string, data []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.create(p)
	if err != nil {
		return wrap("write", p, err)
	}
	d.used += int64(len(data) - len(n.data))
	n.data = append([]byte(nil), data...)
	n.mtime = d.stamp()
	d.tell(d.pathOf(n), int64(len(data)))
	return nil
}

// Mkdir makes a directory.
func (d *Disk) Mkdir(p string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return wrap("mkdir", p, d.mkdir(p))
}

func (d *Disk) mkdir(p string) error {
	if _, err := d.find(p, false); err == nil {
		return &remote.Error{Kind: remote.Exist}
	}
	parent, name, err := d.findParent(p)
	if err != nil {
		return err
	}
	d.link(parent, name, d.newNode(remote.Dir))
	d.tell(p, 0)
	return nil
}

// Symlink makes a link.
func (d *Disk) Symlink(target, p string) error { return d.place(p, remote.Symlink, target) }

// Mknod makes a name of type Other.
func (d *Disk) Mknod(p string) error { return d.place(p, remote.Other, "") }

func (d *Disk) place(p string, kind remote.EntryType, target string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	parent, name, err := d.findParent(p)
	if err == nil && d.kid(parent, name) != nil {
		err = &remote.Error{Kind: remote.Exist}
	}
	if err != nil {
		return wrap("create", p, err)
	}
	n := d.newNode(kind)
	n.target = target
	d.link(parent, name, n)
	d.tell(p, 0)
	return nil
}

// Rename moves as rename(2) does.
func (d *Disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return wrap("rename", from, d.move(from, to, false))
}

// RemoveAll deletes a name and all below it; a missing one is no error.
func (d *Disk) RemoveAll(p string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(p, false)
	switch {
	case remote.Is(err, remote.NotExist):
		return nil
	case err != nil:
		return wrap("remove", p, err)
	case n == d.root:
		for len(n.order) > 0 {
			d.removeTree(n.kids[n.order[0]])
		}
		return nil
	}
	d.removeTree(n)
	return nil
}

func (d *Disk) removeTree(n *node) {
	for len(n.order) > 0 {
		d.removeTree(n.kids[n.order[0]])
	}
	d.drop(n)
}

// Chtimes sets a name's time, in whole seconds.
func (d *Disk) Chtimes(p string, t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(p, false)
	if err != nil {
		return wrap("set time", p, err)
	}
	n.mtime = t.UTC().Truncate(time.Second)
	return nil
}

// Chmod sets a name's permission bits.
func (d *Disk) Chmod(p string, mode fs.FileMode) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(p, false)
	if err != nil {
		return wrap("set mode", p, err)
	}
	n.mode = uint32(mode) & 0o7777
	return nil
}

// Stat returns a name's entry to the second, and whether it is there at all.
func (d *Disk) Stat(p string) (remote.Entry, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(p, false)
	if err != nil {
		return remote.Entry{}, false
	}
	return n.entry(Options{MGrain: time.Second, Unique: true}), true
}

// Paths returns every path below the top, sorted; directories end in "/".
func (d *Disk) Paths() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []string
	var walk func(dir string, n *node)
	walk = func(dir string, n *node) {
		for name, kid := range n.kids {
			if kid.kind == remote.Dir {
				all = append(all, dir+name+"/")
				walk(dir+name+"/", kid)
				continue
			}
			all = append(all, dir+name)
		}
	}
	walk("/", d.root)
	sort.Strings(all)
	return all
}

// Used returns how many bytes the files hold.
func (d *Disk) Used() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used
}

// Watch calls fn with every state a name takes from now on: its size after each
// change, -1 when it is gone. A name replaced by a rename goes from one size to
// the other. fn runs with the disk locked: it must not call the disk or block.
func (d *Disk) Watch(fn func(path string, size int64)) (stop func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id := d.watches
	d.watches++
	d.watchers[id] = fn
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.watchers, id)
	}
}

// Clone returns a tree that is what this one is now, and goes its own way from here.
// Nobody watches it, and no transfer writes to it.
func (d *Disk) Clone() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &Disk{now: d.now, fold: d.fold, used: d.used, ids: d.ids, watchers: map[int]func(string, int64){}}
	c.root = d.root.clone(nil)
	return c
}

func (n *node) clone(parent *node) *node {
	c := *n
	c.parent, c.data, c.order = parent, slices.Clone(n.data), slices.Clone(n.order)
	if n.kids != nil {
		c.kids = map[string]*node{}
		for name, kid := range n.kids {
			c.kids[name] = kid.clone(&c)
		}
	}
	return &c
}
