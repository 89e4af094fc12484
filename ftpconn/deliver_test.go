package ftpconn_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

// deliverer uploads and publishes in one go, on a server that takes an upload with its command.
type deliverer struct {
	t   *testing.T
	srv *ftpscript.Server
	s   *ftpconn.Store
	seg *segments
	n   int
}

func deliveries(t *testing.T, o ftpscript.Options) *deliverer {
	t.Helper()
	o.Greeting = "ProFTPD Server"
	srv := ftpscript.Start(t, o)
	d := &deliverer{t: t, srv: srv, seg: new(segments)}
	d.s = open(t, srv, func(c *ftpconn.Config) {
		c.MaxConns, c.Dial, c.Timeout = 1, d.seg.dial(srv.Port, nil), short
	})
	for range 3 { // what the server stands is known then
		agreed, err := d.send(d.how("/warm"), nil)
		ok(t, "the first ones", err)
		if !agreed {
			d.publish(d.how("/warm"))
		}
		srv.Tree.Remove("/warm")
	}
	d.seg.take()
	return d
}

var body = bytes.Repeat([]byte("content\n"), 1000)

func (d *deliverer) how(p string) remote.Publish {
	mode := uint32(0o640)
	return remote.Publish{Path: p, Size: int64(len(body)), MTime: &stamp, Mode: &mode}
}

func (d *deliverer) tmp() string { return fmt.Sprintf("/.tag7-%d", d.n) }

// send delivers what is foreseen, as what ready makes of it; nil: as foreseen.
func (d *deliverer) send(foreseen remote.Publish, ready func(remote.Publish) (remote.Publish, bool)) (bool, error) {
	d.t.Helper()
	d.n++
	asked := 0
	out, agreed, err := d.s.Deliver(d.t.Context(), d.tmp(), bytes.NewReader(body), remote.Delivery{Foreseen: foreseen,
		Ready: func() (context.Context, remote.Publish, bool) {
			if asked++; asked > 1 {
				d.t.Error("Ready was called twice")
			}
			if ready != nil {
				p, ok := ready(foreseen)
				return d.t.Context(), p, ok
			}
			return d.t.Context(), foreseen, true
		}})
	if err == nil && agreed && (!out.TimeSet || !out.ModeSet || out.Entry.Size != int64(len(body)) || !out.Entry.MTime.Equal(stamp)) {
		d.t.Errorf("published as %+v", out)
	}
	return agreed, err
}

func (d *deliverer) publish(p remote.Publish) {
	d.t.Helper()
	_, err := d.s.Publish(d.t.Context(), d.tmp(), p)
	ok(d.t, "publish", err)
}

// dialogue is what was sent since the last time, a segment a line, the verbs alone.
func (d *deliverer) dialogue() string {
	var all []string
	for _, segment := range d.seg.take() {
		var verbs []string
		for line := range strings.Lines(segment) {
			verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			if verb == "SITE" {
				verb, _, _ = strings.Cut(rest, " ")
			}
			verbs = append(verbs, verb)
		}
		all = append(all, strings.Join(verbs, " "))
	}
	return strings.Join(all, "\n")
}

func (d *deliverer) wants(what, dialogue string) {
	d.t.Helper()
	if got := d.dialogue(); got != dialogue {
		d.t.Errorf("%s: sent\n%s\nnot\n%s", what, got, dialogue)
	}
}

func (d *deliverer) holds(p string) {
	d.t.Helper()
	f, there := d.srv.Tree.Stat(p)
	got, _ := d.srv.Tree.Get(p)
	if !there || !bytes.Equal(got, body) || !f.MTime.Equal(stamp) || f.Mode != 0o640 {
		d.t.Errorf("%s on the server: %v, %d bytes, %v, %o", p, there, len(got), f.MTime, f.Mode)
	}
}

const (
	upload   = "STOR EPSV MFMT CHMOD MLST MLST SIZE"
	renaming = "RNFR RNTO MLST"
	inTwo    = upload + "\n" + renaming
	ordinal  = "MFMT CHMOD MLST SIZE MLST SIZE RNFR\nRNTO MLST"
)

// A small file costs two round trips: what is asked before the rename goes with the upload, and the next port too.
func TestASmallFileInTwoRoundTrips(t *testing.T) {
	d := deliveries(t, ftpscript.Options{})
	for i := range 5 {
		agreed, err := d.send(d.how(fmt.Sprintf("/f-%d", i)), nil)
		if ok(t, "deliver", err); !agreed {
			t.Error("it was not asked whether it is ready")
		}
		d.wants("a file", inTwo)
		d.holds(fmt.Sprintf("/f-%d", i))
	}
	was := d.srv.Tree
	expect := func(p string) *remote.Version {
		f, _ := was.Stat(p)
		return &remote.Version{Size: f.Size, MTime: f.MTime, MGrain: time.Second}
	}
	p := d.how("/f-0")
	p.Expect = expect("/f-0")
	_, err := d.send(p, nil)
	ok(t, "over another", err)
	d.wants("over another", inTwo)

	d.srv.Tree.Put("/f-1", []byte("theirs"))
	p.Path = "/f-1"
	agreed, err := d.send(p, nil)
	kind(t, "over what somebody changed", err, remote.Changed)
	d.wants("over what somebody changed", upload)
	if got, _ := d.srv.Tree.Get("/f-1"); !agreed || string(got) != "theirs" {
		t.Errorf("agreed: %v; %.20q is there", agreed, got)
	}
	_, err = d.send(d.how("/f-1"), nil)
	kind(t, "over what nobody expected", err, remote.Changed)
}

// What is not what was foreseen is published in the ordinary way, and what nobody agrees to not at all.
func TestAPublicationThatWasNotForeseen(t *testing.T) {
	d := deliveries(t, ftpscript.Options{})
	agreed, err := d.send(d.how("/f"), func(p remote.Publish) (remote.Publish, bool) { return p, false })
	if ok(t, "not now", err); agreed {
		t.Error("agreed")
	}
	d.wants("not now", upload)
	if _, there := d.srv.Tree.Stat("/f"); there {
		t.Error("published although nobody agreed")
	}
	d.publish(d.how("/f"))
	d.wants("then", ordinal)
	d.holds("/f")

	other := time.Unix(1_600_000_000, 0)
	_, err = d.send(remote.Publish{Path: "/g", Size: int64(len(body)), MTime: &other}, func(remote.Publish) (remote.Publish, bool) { return d.how("/h"), true })
	ok(t, "another name, time and mode", err)
	d.wants("another name, time and mode", "STOR EPSV MFMT MLST MLST SIZE\n"+ordinal)
	d.holds("/h")
	if _, there := d.srv.Tree.Stat("/g"); there {
		t.Error("it has the old name too")
	}
}

// Refusals at each step: what is there is as it was, or whole.
func TestADeliveryThatIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name  string
		rule  ftpscript.Rule
		kinds []remote.Kind
		is    bool // published
		then  string
	}{
		{"the upload", ftpscript.Rule{Verb: "STOR", Instead: "552 Quota exceeded."}, []remote.Kind{remote.NoSpace}, false, inTwo},
		{"the upload, at its end", ftpscript.Rule{Verb: "STOR", Final: "451 Disk failed."}, []remote.Kind{remote.Temporary}, false, inTwo},
		{"a part came", ftpscript.Rule{Verb: "STOR", Data: &ftpscript.DataFault{After: 100, Reply: "226 Transfer complete."}}, []remote.Kind{remote.ShortWrite, remote.Temporary, remote.Down}, false, ""},
		{"the rename", ftpscript.Rule{Verb: "RNTO", Instead: "552 Quota exceeded."}, []remote.Kind{remote.NoSpace}, false, inTwo},
		{"the source of the rename", ftpscript.Rule{Verb: "RNFR", Instead: "550 No."}, []remote.Kind{remote.Permission}, false, inTwo},
		{"the port", ftpscript.Rule{Verb: "EPSV", Instead: "425 None is free."}, nil, true, ""},
		{"the time", ftpscript.Rule{Verb: "MFMT", Instead: "450 Busy."}, nil, true, ""}, // as if a transfer was under way: asked again
		{"no word of the upload", ftpscript.Rule{Verb: "MLST", Swallow: true}, nil, true, ""},
		{"cut off behind the upload", ftpscript.Rule{Verb: "MFMT", Drop: true}, nil, true, ""},
		{"421 before the rename", ftpscript.Rule{Verb: "RNFR", Instead: "421 Idle too long."}, nil, true, ""},
		{"no word of the rename", ftpscript.Rule{Verb: "RNTO", Hangup: true}, nil, true, ""},
		{"cut off before the rename", ftpscript.Rule{Verb: "RNFR", Drop: true}, []remote.Kind{remote.Down, remote.Temporary, remote.Protocol}, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := deliveries(t, ftpscript.Options{})
			tt.rule.Times = 1
			d.srv.Add(tt.rule)
			agreed, err := d.send(d.how("/f"), func(p remote.Publish) (remote.Publish, bool) { return p, true })
			if err == nil && !agreed {
				d.publish(d.how("/f"))
			}
			if tt.kinds == nil {
				ok(t, "deliver", err)
			} else {
				kind(t, "deliver", err, tt.kinds...)
			}
			if tt.is {
				d.holds("/f")
			} else if _, there := d.srv.Tree.Stat("/f"); there {
				t.Error("it is there")
			}
			d.dialogue()
			agreed, err = d.send(d.how("/g"), nil)
			if ok(t, "the next", err); !agreed {
				d.publish(d.how("/g"))
			}
			if tt.then != "" {
				d.wants("the next", tt.then)
			}
			d.holds("/g")
		})
	}
}

// A server whose MLST tells no size is asked for it otherwise, before anything is renamed.
func TestADeliveryIsNotBelievedWithoutASize(t *testing.T) {
	d := deliveries(t, ftpscript.Options{})
	p := d.how("/f")
	blind := func() {
		d.srv.Add(ftpscript.Rule{Verb: "MLST", Path: fmt.Sprintf("/.tag7-%d", d.n+1), Instead: "250-Listing\r\n type=file;modify=20200229235958; /x\r\n250 End"})
	}
	blind()
	d.srv.Add(ftpscript.Rule{Verb: "STOR", Times: 1, Data: &ftpscript.DataFault{After: 100, Reply: "226 Transfer complete."}})
	_, err := d.send(p, nil)
	if _, there := d.srv.Tree.Stat("/f"); there || err == nil {
		t.Errorf("100 bytes, of which MLST does not tell the size, are published: %v", err)
	}
	blind()
	agreed, err := d.send(p, nil)
	if ok(t, "all of it", err); !agreed {
		d.publish(p)
	}
	d.holds("/f")
}

// What behind an upload goes unanswered twice in a row is asked after it from then on.
func TestQuestionsBehindAnUploadAreGivenUp(t *testing.T) {
	d := deliveries(t, ftpscript.Options{})
	behind := func(i int) bool {
		t.Helper()
		d.dialogue()
		agreed, err := d.send(d.how(fmt.Sprintf("/f-%d", i)), nil)
		if ok(t, "deliver", err); !agreed {
			d.publish(d.how(fmt.Sprintf("/f-%d", i)))
		}
		d.holds(fmt.Sprintf("/f-%d", i))
		return strings.Contains("\n"+d.dialogue(), "\nSTOR EPSV MFMT")
	}
	var asked []bool
	for i := range 12 {
		if i == 1 || i >= 4 { // once it is a fault of the network
			d.srv.Add(ftpscript.Rule{Verb: "SIZE", Path: fmt.Sprintf("/f-%d", i), Times: 1, Hangup: true})
		}
		asked = append(asked, behind(i))
	}
	if n := slices.Index(asked[4:], true); n < 0 || !asked[0] || !asked[1] {
		t.Errorf("asked behind the upload: %v", asked)
	}
	if tail := asked[9:]; slices.Contains(tail, true) {
		t.Errorf("asked behind the upload to the last: %v", asked)
	}
}

// Short files may have all connections, where there are some, and who asks for anything else has one as soon as one
// of them is through.
func TestShortFilesMayHaveAllConnections(t *testing.T) {
	srv, s := startAsIs(t, ftpscript.Options{}, func(c *ftpconn.Config) { c.MaxConns = 4 })
	if c := s.Caps(); c.MaxShort != 4 || c.MaxUploads != 2 {
		t.Errorf("%d short uploads, %d uploads", c.MaxShort, c.MaxUploads)
	}
	held := make(chan struct{})
	from := srv.Mark()
	all := srv.Add(ftpscript.Rule{Verb: "STOR", Path: "", Hold: held})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			p := remote.Publish{Path: fmt.Sprintf("/f-%d", i), Size: int64(len(body))}
			_, _, err := s.Deliver(t.Context(), fmt.Sprintf("/.tag7-%d", i), bytes.NewReader(body), remote.Delivery{Foreseen: p,
				Ready: func() (context.Context, remote.Publish, bool) { return t.Context(), p, false }})
			if err != nil {
				t.Error(err)
			}
		})
	}
	_, err := srv.Await(t.Context(), from, func(c ftpscript.Commands) bool { return len(c.Verbs("STOR")) == 4 })
	ok(t, "four uploads", err)
	wg.Go(func() {
		if _, err := s.List(t.Context(), "/"); err != nil {
			t.Error(err)
		}
	})
	all.Remove()
	close(held)
	wg.Wait()
}
