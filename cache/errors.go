package cache

import (
	"context"
	"errors"
	"syscall"

	"ftpfs/cache/remote"
)

var errShort = errors.New("the local copy is shorter than its record says")

// surelyGone says that err means a path leads to nothing: a name on it is missing, or no
// directory any more.
func surelyGone(err error) bool {
	return remote.Is(err, remote.NotExist) || remote.Is(err, remote.NotDir)
}

// errGone: the server has confirmed that n is no longer there.
func errGone(op string, n *Node) error {
	return &remote.Error{Op: op, Path: n.lastName(), Kind: remote.NotExist}
}

// errStale: what the handle was opened on has been replaced on the server.
func errStale(op string, n *Node) error {
	return &remote.Error{Op: op, Path: n.lastName(), Kind: remote.Changed, Text: "replaced on the server since it was opened"}
}

func errReadOnly(op string, n *Node) error {
	return &remote.Error{Op: op, Path: n.lastName(), Kind: remote.Permission, Text: "mounted read-only", Err: syscall.EROFS}
}

func errClosing(op string, n *Node) error {
	return &remote.Error{Op: op, Path: n.lastName(), Kind: remote.Canceled, Text: "unmounting"}
}

func canceled(op string, n *Node, ctx context.Context) error {
	kind := remote.Canceled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		kind = remote.Timeout
	}
	return &remote.Error{Op: op, Path: n.lastName(), Kind: kind}
}

// lastName is for messages, with or without tree.mu.
func (n *Node) lastName() string {
	if n == nil {
		return ""
	}
	return *n.label.Load()
}
