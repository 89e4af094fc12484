package main

import (
	"strings"
	"testing"
	"time"

	"ftpfs/cache"
	"ftpfs/cmd/internal/control"
)

// Each kind of conflict is told in words of its own, with where to look.
func TestEachKindOfConflictIsSaid(t *testing.T) {
	now := time.Now()
	for what, want := range map[cache.ConflictKind]string{
		cache.TheirsChanged:  "theirs has the name, ours is\n      /mnt/copy",
		cache.TheirsRemoved:  "removed or renamed on the server; ours has the name again",
		cache.TheirsReplaced: "something else has the name on the server; ours is\n      /mnt/copy",
		cache.NameTaken:      "a newer file has the name; this one, found in the spool at a start, is\n      /mnt/copy",
	} {
		m := mountReport{Status: control.Status{Mountpoint: "/mnt"}}
		m.Cache.Conflicts = []cache.Conflict{{Path: "/a", Copy: "/copy", What: what, At: now}}
		var out strings.Builder
		showConflicts(&out, m, now)
		if got := out.String(); !strings.Contains(got, "/mnt/a, ") || !strings.Contains(got, want) {
			t.Errorf("of %q: got %q; want %q", what, got, want)
		}
	}
}
