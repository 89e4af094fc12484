package cache

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
	"unicode/utf8"
)

// Conflict is one time when the server's file was no longer what a change made here
// was based on. Both were kept; a person may want to look.
type Conflict struct {
	Path      string       `json:"path"`
	PathBytes []byte       `json:"path_bytes,omitempty"` // when it is not UTF-8, which JSON would change
	Copy      string       `json:"copy,omitempty"`       // where ours is, if not under Path
	CopyBytes []byte       `json:"copy_bytes,omitempty"`
	What      ConflictKind `json:"what"`
	At        time.Time    `json:"at"`
}

// ConflictKind is what somebody else had done on the server, or a start found in the spool.
type ConflictKind string

const (
	// TheirsChanged: theirs has the name, ours is beside it.
	TheirsChanged ConflictKind = "changed"
	// TheirsRemoved: the file was removed or renamed; ours has the name again.
	TheirsRemoved ConflictKind = "removed"
	// TheirsReplaced: a directory, link or device has the name, ours is beside it.
	TheirsReplaced ConflictKind = "replaced"
	// NameTaken: a newer file of ours has the name, or that of a directory it was in. See
	// untangle.go.
	NameTaken ConflictKind = "taken"
)

// Name and CopyName are the paths' own bytes.
func (c *Conflict) Name() string     { return rawOr(c.PathBytes, c.Path) }
func (c *Conflict) CopyName() string { return rawOr(c.CopyBytes, c.Copy) }

func rawOr(raw []byte, text string) string {
	if raw != nil {
		return string(raw)
	}
	return text
}

func rawIfNeeded(s string) []byte {
	if utf8.ValidString(s) {
		return nil
	}
	return []byte(s)
}

// How many conflicts are told, and for how long. All are in the log, too.
const (
	mostConflicts = 100
	conflictsKept = 30 * 24 * time.Hour
)

// conflict notes one in dir, in the log and for Status, also of later mounts. What is
// known of dir is older than what somebody did there.
func (t *Tree) conflict(dir *Node, what ConflictKind, path, beside string) {
	switch what {
	case TheirsChanged:
		t.cfg.Log.Warn("a file was changed on the server and here: both are kept, ours under another name", "theirs", path, "ours", beside)
	case TheirsRemoved:
		t.cfg.Log.Warn("a file was removed or renamed on the server while it was changed here: ours has the name again", "path", path)
	case TheirsReplaced:
		t.cfg.Log.Warn("something that is not a file has taken the name of a file changed here: ours is kept under another name", "theirs", path, "ours", beside)
	case NameTaken:
		t.cfg.Log.Warn("two files are owed that cannot both have their names, as after a power cut: the older is kept under another name", "name", path, "older", beside)
	}
	t.mu.Lock()
	t.conflicts = append(t.conflicts, Conflict{Path: path, PathBytes: rawIfNeeded(path), Copy: beside, CopyBytes: rawIfNeeded(beside), What: what, At: time.Now()})
	t.pruneConflictsLocked()
	t.doubtLocked(dir)
	t.mu.Unlock()
	t.saveConflicts()
}

// settledLocked forgets the conflict whose copy path was: it was removed here, or
// renamed, so somebody has looked.
func (t *Tree) settledLocked(path string) {
	n := len(t.conflicts)
	t.conflicts = slices.DeleteFunc(t.conflicts, func(c Conflict) bool { return c.Copy != "" && c.CopyName() == path })
	if len(t.conflicts) < n {
		t.spawn(t.saveConflicts)
	}
}

func (t *Tree) pruneConflictsLocked() {
	t.conflicts = slices.DeleteFunc(t.conflicts, func(c Conflict) bool { return time.Since(c.At) > conflictsKept })
	t.conflicts = t.conflicts[max(0, len(t.conflicts)-mostConflicts):]
}

func (t *Tree) conflictsFile() string { return filepath.Join(t.cfg.StateDir, "conflicts.json") }

// saveConflicts writes the list for the next mount. It is a convenience: nothing
// hangs on it, and a power cut may undo the last change.
func (t *Tree) saveConflicts() {
	t.conflictsDisk.Lock()
	defer t.conflictsDisk.Unlock()
	t.mu.Lock()
	b, err := json.Marshal(t.conflicts)
	t.mu.Unlock()
	tmp := t.conflictsFile() + ".tmp"
	if err == nil {
		err = os.WriteFile(tmp, b, 0o600)
	}
	if err == nil {
		err = os.Rename(tmp, t.conflictsFile())
	}
	if err != nil {
		t.once("conflicts", "cannot keep the list of conflicts; the log has them", err)
	}
}

// loadConflicts reads what earlier mounts left; a list that cannot be read is left
// out, and the log of that time has it.
func (t *Tree) loadConflicts() {
	b, err := os.ReadFile(t.conflictsFile())
	if err == nil {
		err = json.Unmarshal(b, &t.conflicts)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.cfg.Log.Warn("cannot read the list of earlier conflicts", "err", err)
		t.conflicts = nil
	}
	t.pruneConflictsLocked()
}
