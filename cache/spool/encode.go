package spool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
	"unicode/utf8"

	"ftpfs/cache/ranges"
	"ftpfs/cache/remote"
)

// format is the version of everything in the spool. A newer one is refused when
// the spool is opened.
const format = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// envelope makes a file self-checking: a torn write, zeros or a stray edit does
// not decode. It is one JSON object with the payload's checksum before it.
type envelope struct {
	Format int             `json:"format"`
	Sum    string          `json:"crc32c"` // of the payload's bytes as they stand
	Body   json.RawMessage `json:"body"`
}

func seal(body any) ([]byte, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, `{"format":%d,"crc32c":"%08x","body":%s}`+"\n", format, crc32.Checksum(b, castagnoli), b), nil
}

func unseal(b []byte, body any) error {
	if len(bytes.Trim(b, "\x00")) == 0 {
		return fmt.Errorf("%d bytes of nothing", len(b))
	}
	var e envelope
	if err := json.Unmarshal(b, &e); err != nil {
		return err
	}
	if e.Format != format {
		return fmt.Errorf("format %d, want %d", e.Format, format)
	}
	if sum := fmt.Sprintf("%08x", crc32.Checksum(e.Body, castagnoli)); e.Sum != sum {
		return fmt.Errorf("checksum is %s, want %q", sum, e.Sum)
	}
	return json.Unmarshal(e.Body, body)
}

// text is a string of raw bytes. JSON strings hold only Unicode, so that other
// names are written as {"base64":…}.
type text string

func (t text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal(struct {
		B []byte `json:"base64"`
	}{[]byte(t)})
}

func (t *text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '{' {
		var v struct {
			B []byte `json:"base64"`
		}
		if err := json.Unmarshal(b, &v); err != nil {
			return err
		}
		*t = text(v.B)
		return nil
	}
	return json.Unmarshal(b, (*string)(t))
}

// stamp is a time that survives whatever utimensat(2) can set: JSON's time.Time
// fails outside the years 0 to 9999, and a record must never fail to be written.
type stamp struct{ time.Time }

func (s stamp) MarshalJSON() ([]byte, error) {
	if t := s.UTC(); t.Year() >= 0 && t.Year() <= 9999 {
		return json.Marshal(t.Format(time.RFC3339Nano))
	}
	return json.Marshal([2]int64{s.Unix(), int64(s.Nanosecond())})
}

func (s *stamp) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		var v [2]int64
		if err := json.Unmarshal(b, &v); err != nil {
			return err
		}
		s.Time = time.Unix(v[0], v[1]).UTC()
		return nil
	}
	var v string
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	s.Time = t.UTC()
	return err
}

type diskVersion struct {
	Size   int64         `json:"size"`
	MTime  stamp         `json:"mtime"`
	MGrain time.Duration `json:"grain,omitempty"`
	Unique text          `json:"unique,omitempty"`
}

func toDisk(v *remote.Version) *diskVersion {
	if v == nil {
		return nil
	}
	return &diskVersion{v.Size, stamp{v.MTime}, v.MGrain, text(v.Unique)}
}

func (d *diskVersion) version() *remote.Version {
	if d == nil {
		return nil
	}
	return &remote.Version{Size: d.Size, MTime: d.MTime.Time, MGrain: d.MGrain, Unique: string(d.Unique)}
}

// diskRecord is a Record as it stands in rec/.
type diskRecord struct {
	ID          uint64       `json:"id"`
	Seq         uint64       `json:"seq"`
	Boot        string       `json:"boot"`
	Synced      bool         `json:"synced,omitempty"`
	Path        text         `json:"path"`
	Dir         bool         `json:"dir,omitempty"`
	Base        *diskVersion `json:"base,omitempty"`
	Size        int64        `json:"size"`
	Have        ranges.Set   `json:"have"`
	Dirty       ranges.Set   `json:"dirty"`
	Open        bool         `json:"open,omitempty"`
	Interrupted bool         `json:"interrupted,omitempty"`
	MTime       *stamp       `json:"mtime,omitempty"`
	Mode        *uint32      `json:"mode,omitempty"`
	ModeKept    bool         `json:"mode_kept,omitempty"`
	Created     stamp        `json:"created"`
	Attempts    int          `json:"attempts,omitempty"`
	LastError   text         `json:"error,omitempty"`
	Parked      bool         `json:"parked,omitempty"`
	Resume      bool         `json:"resume,omitempty"`
	Gone        int64        `json:"gone,omitempty"`
	Tail        *Tail        `json:"tail,omitempty"`
	Temp        text         `json:"temp,omitempty"`
	Backup      text         `json:"backup,omitempty"`
	Sent        *diskVersion `json:"sent,omitempty"`
}

// encodeRecord returns a slot of at least size bytes.
func encodeRecord(r *Record, seq uint64, p proof, size int) ([]byte, error) {
	d := diskRecord{ID: r.ID, Seq: seq, Boot: p.Boot, Synced: p.Synced, Path: text(r.Path), Dir: r.Dir,
		Base: toDisk(r.Base), Size: r.Size, Have: r.Have, Dirty: r.Dirty, Open: r.Open, Interrupted: r.Interrupted,
		Mode: r.Mode, ModeKept: r.ModeKept, Created: stamp{r.Created}, Attempts: r.Attempts, LastError: text(r.LastError), Parked: r.Parked,
		Resume: r.Resume, Gone: r.Gone, Tail: r.Tail, Temp: text(r.Temp), Backup: text(r.Backup), Sent: toDisk(r.Sent)}
	if r.MTime != nil {
		d.MTime = &stamp{*r.MTime}
	}
	return sealSlot(&d, seq, p.Same, size)
}

// decodeRecord accepts only what encodeRecord wrote for id; 0 accepts any. b is a
// slot, or begins with one.
func decodeRecord(b []byte, id uint64) (Record, proof, error) {
	var d diskRecord
	h, err := unsealSlot(b, &d)
	if err != nil {
		return Record{}, proof{}, err
	}
	if h.seq != d.Seq {
		return Record{}, proof{}, fmt.Errorf("record %d says that it is %d", h.seq, d.Seq)
	}
	r := Record{ID: d.ID, Seq: d.Seq, Path: string(d.Path), Dir: d.Dir, Base: d.Base.version(), Size: d.Size,
		Have: d.Have, Dirty: d.Dirty, Open: d.Open, Interrupted: d.Interrupted, Mode: d.Mode, ModeKept: d.ModeKept, Created: d.Created.Time,
		Attempts: d.Attempts, LastError: string(d.LastError), Parked: d.Parked, Tail: d.Tail, Temp: string(d.Temp),
		Resume: d.Resume, Gone: d.Gone, Backup: string(d.Backup), Sent: d.Sent.version()}
	if d.MTime != nil {
		r.MTime = &d.MTime.Time
	}
	if id != 0 && r.ID != id {
		return r, proof{}, fmt.Errorf("holds the record of file %d", r.ID)
	}
	return r, proof{d.Boot, d.Synced, h.same}, r.valid()
}

type diskIntent struct {
	Seq  uint64       `json:"seq"`
	From text         `json:"from"`
	To   text         `json:"to"`
	Dir  bool         `json:"dir,omitempty"`
	At   stamp        `json:"at"`
	Was  *diskVersion `json:"was,omitempty"`
}

func encodeIntent(in *Intent, seq uint64) ([]byte, error) {
	return seal(&diskIntent{seq, text(in.From), text(in.To), in.Dir, stamp{in.At}, toDisk(in.Was)})
}

func decodeIntent(b []byte, seq uint64) (Intent, error) {
	var d diskIntent
	if err := unseal(b, &d); err != nil {
		return Intent{}, err
	}
	if d.Seq != seq {
		return Intent{}, fmt.Errorf("holds intent %d", d.Seq)
	}
	if d.From == "" || d.To == "" {
		return Intent{}, errors.New("a rename without both names")
	}
	return Intent{d.Seq, string(d.From), string(d.To), d.Dir, d.At.Time, d.Was.version()}, nil
}
