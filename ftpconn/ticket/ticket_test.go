package ticket

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func take(t *testing.T, q *Queue, since time.Time) *Ticket {
	t.Helper()
	got, err := q.Take(since)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { got.Return() })
	return got
}

// watch runs a Watch until the test ends; what comes out is told of each change.
func watch(t *testing.T, q *Queue) <-chan struct{} {
	changed := make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		q.Watch(ctx, func() { changed <- struct{}{} })
	}()
	t.Cleanup(func() { cancel(); <-done })
	<-changed
	return changed
}

func called(t *testing.T, ticket *Ticket, what string) {
	t.Helper()
	select {
	case <-ticket.Called():
	case <-time.After(10 * time.Second):
		t.Fatalf("%s was not called", what)
	}
}

func dirOf(t *testing.T) string { return filepath.Join(t.TempDir(), "waiting") }

// Each call is for one: the one that has waited longest.
func TestTheOldestIsCalled(t *testing.T) {
	dir := dirOf(t)
	a, b, holder := Open(dir, "host"), Open(dir, "host"), Open(dir, "host")
	watch(t, a)
	watch(t, b)
	now := time.Now()
	young, old := take(t, a, now), take(t, b, now.Add(-time.Second))
	other := take(t, Open(dir, "host2"), now.Add(-time.Hour))
	if !holder.Waiting() || !holder.Call() {
		t.Fatal("nobody waits")
	}
	called(t, old, "the old one")
	if b.Call(); !young.isCalled(t) {
		t.Error("the young one is not next")
	}
	if holder.Waiting() || holder.Call() {
		t.Error("somebody still waits")
	}
	if _, err := os.Stat(filepath.Join(dir, other.name)); err != nil {
		t.Errorf("who waits for another server: %v", err)
	}
}

func (t *Ticket) isCalled(tb *testing.T) bool {
	called(tb, t, "it")
	return true
}

// One's own ticket is nobody to give way to, and a returned one is gone.
func TestOwnAndReturned(t *testing.T) {
	dir := dirOf(t)
	a, b := Open(dir, "host"), Open(dir, "host")
	mine := take(t, a, time.Now())
	if a.Waiting() || !b.Waiting() {
		t.Errorf("waiting: to itself %v, to others %v", a.Waiting(), b.Waiting())
	}
	if !mine.Return() || mine.Return() {
		t.Error("it is not returned once")
	}
	if b.Waiting() {
		t.Error("a returned one waits")
	}
	used := take(t, a, time.Now()) // nobody watches: Called is not closed
	if !b.Call() || used.Return() {
		t.Error("one that was called is returned")
	}
}

// A word that a place is free is for one, and for that server.
func TestAWordIsForOne(t *testing.T) {
	dir := dirOf(t)
	a, b, other := Open(dir, "host"), Open(dir, "host"), Open(dir, "host2")
	if a.Accept() {
		t.Error("there is one at first")
	}
	a.Offer()
	b.Offer()
	if a.Waiting() || b.Waiting() || b.Call() {
		t.Error("it is taken for a ticket")
	}
	if other.Accept() || !a.Accept() || b.Accept() {
		t.Error("it is not for one")
	}
}

// Who was killed while it waited does not wait, though its ticket is there and its
// number may be somebody else's.
func TestTheKilledDoNotWait(t *testing.T) {
	if dir := os.Getenv("TICKET_TEST_DIR"); dir != "" {
		take(t, Open(dir, "host"), time.Now())
		os.Stdout.WriteString("taken\n")
		select {}
	}
	dir := dirOf(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestTheKilledDoNotWait$")
	cmd.Env = append(os.Environ(), "TICKET_TEST_DIR="+dir)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "taken\n" {
		t.Fatalf("%q, %v", line, err)
	}
	q := Open(dir, "host")
	if !q.Waiting() {
		t.Error("it does not wait while it lives")
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%d files are left", len(left))
	}
	if q.Waiting() || q.Call() {
		t.Error("it waits")
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
}

// What was left by somebody killed before its ticket had its name goes, too.
func TestHalfATicketGoes(t *testing.T) {
	dir := dirOf(t)
	q := Open(dir, "host")
	take(t, q, time.Now()).Return()
	old, young := filepath.Join(dir, unnamed+"host.1"), filepath.Join(dir, unnamed+"host.2")
	for _, p := range []string{old, young} {
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-2 * unnamedMost)
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	if q.Waiting() {
		t.Error("it waits")
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 || left[0].Name() != filepath.Base(young) {
		t.Errorf("left are %v", left)
	}
}

// A directory that somebody cleans away is made again, and what happens there is noticed.
func TestACleanedDirectory(t *testing.T) {
	dir := dirOf(t)
	a, b := Open(dir, "host"), Open(dir, "host")
	changed := watch(t, a)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	<-changed
	take(t, b, time.Now())
	for !a.Waiting() {
		<-changed
	}
}

// Without inotify, of which a user has so much, it takes longer.
func TestWithoutInotify(t *testing.T) {
	dir := dirOf(t)
	a, b := Open(dir, "host"), Open(dir, "host")
	var none unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	// No descriptor above those in use: InotifyInit1 is EMFILE.
	probe, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	next := uint64(probe.Fd())
	probe.Close()
	few := unix.Rlimit{Cur: next, Max: none.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	changed := watch(t, a)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	mine := take(t, a, time.Now())
	theirs := take(t, b, time.Now())
	for !a.Waiting() {
		<-changed
	}
	b.Call()
	called(t, mine, "who polls")
	theirs.Return()
}
