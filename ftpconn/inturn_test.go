package ftpconn_test

import (
	"context"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/ftpconn/ticket"
	"ftpfs/test/ftpscript"
)

// A Dialogue gets the place of a program that does not need it, leaves it again when a
// turn is over and somebody waits, not before, and calls that one when it is closed, too.
func TestADialogueInTurn(t *testing.T) {
	t.Parallel() // it mostly waits
	srv := ftpscript.Start(t, ftpscript.Options{MaxLogins: 1})
	srv.Tree.Put("/f", content)
	var q *ticket.Queue // in the end b's
	a, b, dialed := neighbors(t, srv, func(c *ftpconn.Config) { q = c.Queue })
	within(t, "the first", a, soon)
	if _, err := b.Dialogue(t.Context()); !remote.Is(err, remote.Temporary) {
		t.Fatalf("out of turn: %v", err)
	}
	var d *ftpconn.Dialogue
	had := func(most time.Duration) {
		t.Helper()
		ok(t, "dialogue", b.InTurn(t.Context(), most, func() (err error) {
			d, err = b.Dialogue(t.Context())
			return err
		}))
	}
	had(soon)
	begun := time.Now()
	for time.Since(begun) < 3200*time.Millisecond { // a turn
		if d.GiveWay() {
			t.Fatal("it gives way, and nobody waits")
		}
		time.Sleep(100 * time.Millisecond)
	}
	done := make(chan struct{})
	go func() { within(t, "who waits", a, 2*soon); close(done) }()
	queuedNow(t, a)
	if !d.GiveWay() {
		t.Error("it does not give way")
	}
	<-done
	dialed.Store(0)
	begun = time.Now()
	had(2 * soon)
	if n := dialed.Load(); n != 1 { // it waits for its call
		t.Errorf("%d connections were tried", n)
	}
	done = make(chan struct{})
	go func() { within(t, "who waits again", a, 2*soon); close(done) }()
	queuedNow(t, a)
	if gave := d.GiveWay(); !gave {
		d.Close()
	} else if time.Since(begun) < 3*time.Second { // else its turn is over, as this machine stood still
		t.Error("it gives way at once")
	}
	if q.Waiting() {
		t.Error("who waits is not called")
	}
	<-done
}

// Who is not let in gives up when told, with the server's words, and leaves the queue.
func TestInTurnEnds(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{MaxLogins: 1})
	stranger := open(t, srv, nil)
	_, err := stranger.Stat(t.Context(), "/")
	ok(t, "stat", err)
	_, b, _ := neighbors(t, srv, nil)
	try := func(ctx context.Context, most time.Duration) (error, time.Duration) {
		begun := time.Now()
		err := b.InTurn(ctx, most, func() error { _, err := b.Dialogue(t.Context()); return err })
		return err, time.Since(begun)
	}
	err, took := try(t.Context(), 700*time.Millisecond)
	if kind(t, "late", err, remote.Temporary); took < 700*time.Millisecond {
		t.Errorf("after %v", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	err, took = try(ctx, time.Minute)
	if kind(t, "ended", err, remote.Temporary); took > soon {
		t.Errorf("after %v", took)
	}
	if st := b.Stats(); st.Queued || st.Full != "" {
		t.Errorf("it waits: %+v", st)
	}
}
