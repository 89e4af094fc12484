package test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/remotetest"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

// matrixAll has every cell, and all of the suite in each.
var matrixAll = flag.Bool("matrix", false, "all cells of the matrix of servers, and all of the contract in each")

// oddLimits are those of the scripted servers as they are found; the rest can do all.
func oddLimits(name string, o ftpscript.Options) remotetest.Limits {
	l := remotetest.Limits{NoSums: true, NoLinks: true,
		RefusesMode: changedBySITE, // a server that is not known for its SITE could do as ProFTPD does
		TellsNoMode: slices.Contains(o.Refuse, "MLST"),
	}
	switch name {
	case "IIS":
		l.NoTimes, l.NoModes, l.NoReplace = true, true, true
		l.Refuses = windowsRefuses
	case "FileZilla Server":
		l.NoModes, l.NoReplace = true, true
		l.Refuses = windowsRefuses
	case "DOS code page":
		l.NoTimes, l.NoModes = true, true
	case "no rename over":
		l.NoReplace = true
	}
	return l
}

// windowsRefuses says that there can be no such name on Windows, or that it would be
// another one.
func windowsRefuses(name string) bool {
	return !utf8.ValidString(name) || strings.ContainsAny(name, `<>:"|?*\`) || strings.TrimRight(name, " .") != name ||
		strings.ContainsFunc(name, func(r rune) bool { return r < ' ' })
}

// TestContractOdd runs the suite over each scripted server that is odd in some way, as a
// mount without options would. Without -matrix it is all of the suite on some, and on the
// others what their oddness touches.
func TestContractOdd(t *testing.T) {
	for _, p := range ftpscript.Odd() {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			t.Log(p.Line("contract"))
			srv := ftpscript.Start(t, p.Options)
			var count int
			remotetest.Run(t, func(t *testing.T) remotetest.Subject {
				if p.Options.Windows && strings.HasSuffix(t.Name(), "/NamesNeighbours") {
					t.Skip("by design: X and x are one name there; that nobody makes one beside the other is the caller's, see Caps.FoldsCase")
				}
				count++
				top := fmt.Sprintf("/part %d", count)
				srv.Tree.MkdirAll(top)
				store := ftpconn.New(ftpconn.Config{Host: srv.Host, Port: srv.Port, User: ftpscript.User, Password: ftpscript.Password,
					Dir: top[1:], Timeout: 20 * time.Second, MountTag: "contract", Log: logTo(t), Trace: true})
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				if err := store.Connect(ctx); err != nil {
					t.Fatalf("connect: %v", err)
				}
				var still *ftpscript.Applied
				frozen := make(chan struct{})
				return remotetest.Subject{Store: store, Behind: inTree{srv.Tree, top}, Tag: "contract", Limits: oddLimits(p.Name, p.Options),
					Freeze: func() { still = srv.Add(ftpscript.Rule{Hold: frozen}) },
					Thaw:   func() { still.Remove(); close(frozen) }}
			}, oddParts(p.Name)...)
		})
	}
}

// oddParts are the parts of the suite that one of the servers is put to; none is all.
func oddParts(name string) []string {
	switch {
	case *matrixAll, name == "IIS", name == "DOS code page", name == "1 connection by 421 banner":
		return nil
	case strings.HasPrefix(name, "FileZilla"), strings.HasPrefix(name, "no rename"):
		return []string{"List", "Rename", "Publish", "PublishRefused", "SetAttr"}
	case strings.Contains(name, "REST"):
		return []string{"Open", "OpenEarlyClose", "OpenExpect", "Parallel"}
	case strings.Contains(name, "zone"), strings.HasPrefix(name, "times"):
		return []string{"List", "Stat", "SetAttr", "OpenExpect", "Publish"}
	}
	return []string{"List", "Write", "Open", "OpenEarlyClose", "Publish", "CancelTransfer", "Parallel", "Close"}
}

// inTree is a directory of a scripted server as another client has it.
type inTree struct {
	tree *ftpscript.Tree
	top  string
}

func (d inTree) at(p string) string { return path.Join(d.top, p) }

func (d inTree) ReadFile(p string) ([]byte, error) {
	data, ok := d.tree.Get(d.at(p))
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: p, Err: fs.ErrNotExist}
	}
	return data, nil
}

func (d inTree) WriteFile(p string, data []byte) error {
	d.tree.Put(d.at(p), data)
	return nil
}

func (d inTree) Mkdir(p string) error {
	d.tree.MkdirAll(d.at(p))
	return nil
}

func (d inTree) Symlink(string, string) error { return errors.ErrUnsupported }
func (d inTree) Mknod(string) error           { return errors.ErrUnsupported }

func (d inTree) Chtimes(p string, at time.Time) error {
	if !d.tree.SetTime(d.at(p), at) {
		return fs.ErrNotExist
	}
	return nil
}

func (d inTree) Chmod(p string, mode fs.FileMode) error {
	if !d.tree.Chmod(d.at(p), uint32(mode)) {
		return fs.ErrNotExist
	}
	return nil
}

func (d inTree) Stat(p string) (remote.Entry, bool) {
	f, ok := d.tree.Stat(d.at(p))
	if !ok {
		return remote.Entry{}, false
	}
	e := remote.Entry{Name: path.Base(f.Path), Type: remote.File, Size: f.Size, MTime: f.MTime, MGrain: time.Second, Mode: f.Mode, HasMode: true}
	if f.Dir {
		e.Type = remote.Dir
	}
	return e, true
}
