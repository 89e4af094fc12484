package mounted

import (
	"path/filepath"
	"strings"
	"testing"

	"ftpfs/test/mount"
)

func sqliteRollback(t *testing.T, w work, dir string) { sqliteWork(t, w, dir, "delete") }

func sqliteWAL(t *testing.T, w work, dir string) { sqliteWork(t, w, dir, "wal") }

func sqliteWork(t *testing.T, w work, dir, journal string) {
	mount.Need(t, "sqlite3")
	db := filepath.Join(dir, "data.db")
	query := func(file, sql string) string {
		t.Helper()
		return strings.TrimSpace(mount.Run(t, dir, "sqlite3", "-bail", "-cmd", ".timeout 20000", file, sql))
	}
	if got := query(db, "PRAGMA journal_mode="+journal+";"); got != journal {
		t.Fatalf("journal mode %q, want %q", got, journal)
	}
	query(db, "CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT); CREATE INDEX i ON t (text);")
	query(db, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<5000) INSERT INTO t SELECT i, hex(randomblob(40)) FROM n;`)
	query(db, "BEGIN; DELETE FROM t WHERE id % 3 = 0; ROLLBACK;")
	query(db, "BEGIN; UPDATE t SET text = 'changed' WHERE id % 5 = 0; COMMIT;")
	for range 5 {
		query(db, "INSERT INTO t (text) VALUES ('one more');")
	}
	query(db, "VACUUM;")
	check := func(file string) {
		t.Helper()
		if got := query(file, "PRAGMA integrity_check; SELECT count(*) FROM t; SELECT count(*) FROM t WHERE text='changed';"); got != "ok\n5005\n1000" {
			t.Errorf("%s: integrity check and counts: %q, want ok, 5005, 1000", file, got)
		}
	}
	check(db)
	w.there(t, dir)
	check(w.behind(db))
}
