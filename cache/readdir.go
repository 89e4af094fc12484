package cache

import (
	"context"
	"sort"

	"ftpfs/cache/remote"
)

// Dir is a directory as of one opendir: what happens later does not disturb a
// reader, so that rm -r and rsync --delete see every name once.
type Dir struct {
	node  *Node
	doubt error    // see Doubt
	names []string // sorted
	types []remote.EntryType
	inos  []uint64
	index map[string]int // made at the first LookupEntry out of order
	next  int
}

// DirEntry is one name of a Dir.
type DirEntry struct {
	Name string
	Ino  uint64
	Type remote.EntryType
}

// OpenDir lists n, freshly or, while the server is down, from old knowledge, of which
// Doubt tells.
func (t *Tree) OpenDir(ctx context.Context, n *Node) (*Dir, error) {
	if err := t.wait(ctx, "list", n); err != nil {
		return nil, err
	}
	t.mu.Lock()
	if n.list == nil || t.fresh(n.list.fetched) <= 0 { // what comes next need not wait for this one's end
		t.ahead.listedLocked(n)
	}
	t.mu.Unlock()
	for range 3 {
		err := t.list(ctx, n)
		t.mu.Lock()
		if err != nil && !(remote.KindOf(err).Offline() && n.list != nil && !n.removed) {
			t.mu.Unlock()
			return nil, err
		}
		if n.list != nil {
			d := t.snapshotLocked(n)
			if err == nil {
				t.ahead.listedLocked(n)
			}
			t.mu.Unlock()
			if d.doubt = err; err == nil && !t.online() {
				d.doubt = &remote.Error{Op: "list", Path: t.PathOf(n), Kind: remote.Down}
			}
			return d, nil
		}
		t.mu.Unlock() // evicted in the moment between
	}
	return nil, &remote.Error{Op: "list", Path: "", Kind: remote.Temporary, Text: "listing evicted at once; raise the number of entries kept"}
}

func (t *Tree) snapshotLocked(n *Node) *Dir {
	size := n.list.ents.len() + n.countKids()
	d := &Dir{node: n, names: make([]string, 0, size), types: make([]remote.EntryType, 0, size), inos: make([]uint64, 0, size)}
	add := func(name string, typ remote.EntryType) {
		d.names = append(d.names, name)
		d.types = append(d.types, typ)
		d.inos = append(d.inos, t.inoLocked(n, name))
	}
	for name, e := range n.list.ents.each() {
		if k := n.kid(name); k != nil {
			add(name, k.typ)
			continue
		}
		add(name, e.typ)
	}
	for name, k := range n.eachKid() {
		if _, ok := n.list.ents.get(name); !ok && k.anyOwedLocked() {
			add(name, k.typ)
		}
	}
	sort.Sort(d)
	return d
}

// Doubt is why the names are only what was known once: the server is down. They are good
// for looking things up, and must not pass for the whole truth: whoever deletes what is
// not among them would destroy data. Nil when they are complete.
func (d *Dir) Doubt() error { return d.doubt }

// Len and At give the entries in the order of their bytes, without "." and "..".
func (d *Dir) Len() int { return len(d.names) }

func (d *Dir) At(i int) DirEntry {
	return DirEntry{Name: d.names[i], Ino: d.inos[i], Type: d.types[i]}
}

// LookupEntry is Lookup answered from memory, never from the network, for
// READDIRPLUS. One goroutine at a time may use it on one Dir.
func (t *Tree) LookupEntry(d *Dir, name string) (*Node, Attr, error) {
	i := d.next
	if i >= len(d.names) || d.names[i] != name {
		if d.index == nil {
			d.index = make(map[string]int, len(d.names))
			for i, n := range d.names {
				d.index[n] = i
			}
		}
		var ok bool
		if i, ok = d.index[name]; !ok {
			return nil, Attr{}, &remote.Error{Op: "lookup", Path: name, Kind: remote.NotExist}
		}
	}
	d.next = i + 1
	t.mu.Lock()
	defer t.mu.Unlock()
	n, _ := t.knownLocked(d.node, name, true)
	if n == nil {
		return nil, Attr{}, &remote.Error{Op: "lookup", Path: name, Kind: remote.NotExist}
	}
	n.strayed = false
	return n, t.attrLocked(n), nil
}

func (d *Dir) Less(i, j int) bool { return d.names[i] < d.names[j] }

func (d *Dir) Swap(i, j int) {
	d.names[i], d.names[j] = d.names[j], d.names[i]
	d.types[i], d.types[j] = d.types[j], d.types[i]
	d.inos[i], d.inos[j] = d.inos[j], d.inos[i]
}
