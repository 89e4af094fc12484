package mem

import (
	"path"
	"strings"
	"sync"
	"time"

	"ftpfs/cache/remote"
)

// Disk is the tree on the server.
type Disk struct {
	now  func() time.Time // immutable
	fold bool             // names that differ by case only are one name; immutable

	mu       sync.Mutex // guards what follows and every node
	root     *node
	used     int64 // bytes of all files' content, also of deleted ones still written to
	ids      uint64
	watchers map[int]func(path string, size int64)
	watches  int
}

// node is a file, directory or symlink; it outlives its name while a transfer
// holds it.
type node struct {
	kind   remote.EntryType
	id     uint64
	data   []byte
	mtime  time.Time // whole seconds
	mode   uint32
	target string

	parent *node // nil for the root and for what was deleted
	name   string
	kids   map[string]*node
	order  []string // names in kids, in the order of their making
}

// NewDisk returns an empty tree; now may be nil.
func NewDisk(now func() time.Time) *Disk {
	if now == nil {
		now = time.Now
	}
	d := &Disk{now: now, watchers: map[int]func(string, int64){}}
	d.root = d.newNode(remote.Dir)
	return d
}

func (d *Disk) newNode(kind remote.EntryType) *node {
	d.ids++
	n := &node{kind: kind, id: d.ids, mode: 0o644, mtime: d.stamp()}
	switch kind {
	case remote.Dir:
		n.mode = 0o755
		n.kids = map[string]*node{}
	case remote.Symlink:
		n.mode = 0o777
	}
	return n
}

func (d *Disk) stamp() time.Time { return d.now().UTC().Truncate(time.Second) }

// pathOf is the path of a node, "" if it was deleted.
func (d *Disk) pathOf(n *node) string {
	p := ""
	for ; n != d.root; n = n.parent {
		if n == nil {
			return ""
		}
		p = "/" + n.name + p
	}
	if p == "" {
		return "/"
	}
	return p
}

// check refuses what cannot be a path in the vocabulary of package remote, or
// what no server takes.
func check(p string) error {
	if p == "/" {
		return nil
	}
	if !strings.HasPrefix(p, "/") || strings.ContainsAny(p, "\r\n\x00") || len(p) > 4096 {
		return &remote.Error{Kind: remote.BadName}
	}
	for c := range strings.SplitSeq(p[1:], "/") {
		if c == "" || c == "." || c == ".." || len(c) > 255 {
			return &remote.Error{Kind: remote.BadName}
		}
	}
	return nil
}

// kid is what the server takes for name in a directory, nil if that is nothing.
func (d *Disk) kid(parent *node, name string) *node {
	if n := parent.kids[name]; n != nil || !d.fold {
		return n
	}
	for other, n := range parent.kids {
		if strings.EqualFold(other, name) {
			return n
		}
	}
	return nil
}

func split(p string) (dir, name string) {
	dir, name = path.Split(p)
	if dir != "/" {
		dir = strings.TrimSuffix(dir, "/")
	}
	return dir, name
}

// find walks to a path; symlinks on the way are followed, the last component's
// only if follow.
func (d *Disk) find(p string, follow bool) (*node, error) {
	if err := check(p); err != nil {
		return nil, err
	}
	return d.walk(d.root, p, follow, 16)
}

func (d *Disk) walk(at *node, p string, follow bool, links int) (*node, error) {
	parts := strings.Split(p, "/")
	for i, c := range parts {
		if at.kind != remote.Dir {
			return nil, &remote.Error{Kind: remote.NotDir}
		}
		switch c {
		case "", ".":
			continue
		case "..":
			if at.parent != nil {
				at = at.parent
			}
			continue
		}
		n := d.kid(at, c)
		if n == nil {
			return nil, &remote.Error{Kind: remote.NotExist}
		}
		if n.kind == remote.Symlink && (follow || i < len(parts)-1) {
			if links == 0 {
				return nil, &remote.Error{Kind: remote.Unknown, Text: "too many links"}
			}
			from := at
			if strings.HasPrefix(n.target, "/") {
				from = d.root
			}
			var err error
			if n, err = d.walk(from, n.target, true, links-1); err != nil {
				return nil, err
			}
		}
		at = n
	}
	return at, nil
}

// findParent walks to the directory of a path and returns it with the last name.
func (d *Disk) findParent(p string) (*node, string, error) {
	if err := check(p); err != nil {
		return nil, "", err
	}
	if p == "/" {
		return nil, "", &remote.Error{Kind: remote.Permission, Text: "the top directory"}
	}
	dir, name := split(p)
	parent, err := d.find(dir, true)
	if err == nil && parent.kind != remote.Dir {
		err = &remote.Error{Kind: remote.NotDir}
	}
	return parent, name, err
}

func (d *Disk) link(parent *node, name string, n *node) {
	if parent.kids[name] == nil {
		parent.order = append(parent.order, name)
	}
	parent.kids[name] = n
	n.parent, n.name = parent, name
	parent.mtime = d.stamp()
}

func (d *Disk) unlink(n *node) {
	parent := n.parent
	delete(parent.kids, n.name)
	for i, name := range parent.order {
		if name == n.name {
			parent.order = append(parent.order[:i:i], parent.order[i+1:]...)
			break
		}
	}
	parent.mtime = d.stamp()
	n.parent = nil
}

// drop takes a node off the tree and gives its space back.
func (d *Disk) drop(n *node) {
	p := d.pathOf(n)
	d.unlink(n)
	d.used -= int64(len(n.data))
	d.tell(p, -1)
}

// create returns the file at path to be written to: the present one, or a new one.
func (d *Disk) create(p string) (*node, error) {
	n, err := d.find(p, true)
	switch {
	case err == nil && n.kind == remote.Dir:
		return nil, &remote.Error{Kind: remote.IsDir}
	case err == nil && n.kind != remote.File:
		return nil, &remote.Error{Kind: remote.Permission}
	case err == nil:
		return n, nil
	case remote.KindOf(err) != remote.NotExist:
		return nil, err
	}
	parent, name, err := d.findParent(p)
	if err != nil {
		return nil, err
	}
	if d.kid(parent, name) != nil {
		return nil, &remote.Error{Kind: remote.Permission, Text: "a dangling link"}
	}
	n = d.newNode(remote.File)
	d.link(parent, name, n)
	d.tell(p, 0)
	return n, nil
}

// move renames as rename(2) does.
func (d *Disk) move(from, to string, noReplace bool) error {
	src, err := d.find(from, false)
	if err != nil {
		return err
	}
	if src == d.root {
		return &remote.Error{Kind: remote.Permission, Text: "the top directory"}
	}
	parent, name, err := d.findParent(to)
	if err != nil {
		return err
	}
	for up := parent; up != nil; up = up.parent {
		if up == src {
			return &remote.Error{Kind: remote.Unknown, Text: "a directory into itself"}
		}
	}
	if dst := d.kid(parent, name); dst == src && name == src.name {
		return nil
	} else if dst != nil && dst != src {
		switch {
		case noReplace:
			return &remote.Error{Kind: remote.NoReplace}
		case dst.kind == remote.Dir && src.kind != remote.Dir:
			return &remote.Error{Kind: remote.IsDir}
		case dst.kind != remote.Dir && src.kind == remote.Dir:
			return &remote.Error{Kind: remote.NotDir}
		case len(dst.kids) > 0:
			return &remote.Error{Kind: remote.NotEmpty}
		}
		d.replace(dst)
	}
	d.unlink(src)
	d.tellTree(from, src, true)
	d.link(parent, name, src)
	d.tellTree(to, src, false)
	return nil
}

// replace drops a node whose name is about to be taken: nobody sees it missing.
func (d *Disk) replace(n *node) {
	d.unlink(n)
	d.used -= int64(len(n.data))
}

// tell shows the watchers a new state of a path; size -1 is a name gone.
func (d *Disk) tell(p string, size int64) {
	for _, w := range d.watchers {
		w(p, size)
	}
}

// tellTree tells of a node that moved, and of all below it.
func (d *Disk) tellTree(p string, n *node, gone bool) {
	size := int64(len(n.data))
	if gone {
		size = -1
	}
	d.tell(p, size)
	for _, name := range n.order {
		d.tellTree(p+"/"+name, n.kids[name], gone)
	}
}
