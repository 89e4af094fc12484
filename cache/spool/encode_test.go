package spool

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestRecordRoundTrip(t *testing.T) {
	for _, path := range []string{"/a", "/", "/\xff\xfe", "/\x00\x01\n", "/\u2028<&>", "/\uFFFD", "/" + strings.Repeat("ü", 127), `/{"base64":"eA=="}`, "/a\xc3"} {
		want := full(9, path)
		b, err := encodeRecord(want, 44, proof{"boot", true, true}, 0)
		if err != nil {
			t.Fatal(err)
		}
		want.Seq = 44
		got, p, err := decodeRecord(b, 9)
		if err != nil || p != (proof{"boot", true, true}) || !reflect.DeepEqual(&got, want) {
			t.Errorf("%q: got %+v %v %v, want %+v", path, got, p, err, want)
		}
	}
}

// utimensat takes any number of seconds; a record must never fail to be written.
func TestTimesBeyondTheCalendar(t *testing.T) {
	for _, sec := range []int64{0, -1, -62135596800, 253402300800, math.MaxInt32 << 20, -(1 << 50)} {
		at := time.Unix(sec, 5).UTC()
		r := &Record{ID: 1, Path: "/a", MTime: &at, Created: at}
		b, err := encodeRecord(r, 1, proof{}, 0)
		if err != nil {
			t.Errorf("%d: %v", sec, err)
			continue
		}
		got, _, err := decodeRecord(b, 1)
		if err != nil || !got.MTime.Equal(at) || !got.Created.Equal(at) {
			t.Errorf("%d: got %v %v, want %v", sec, got.MTime, err, at)
		}
	}
}

func TestEveryTornRecordIsRecognised(t *testing.T) {
	b, err := encodeRecord(full(9, "/dir/file"), 44, proof{"boot", true, true}, 0)
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.TrimSpace(b)
	for i := range b {
		if _, _, err := decodeRecord(b[:i], 9); err == nil {
			t.Errorf("%d of %d bytes were accepted", i, len(b))
		}
		zeros := append(bytes.Clone(b[:i]), make([]byte, len(b)-i)...)
		if _, _, err := decodeRecord(zeros, 9); err == nil {
			t.Errorf("zeros from byte %d on were accepted", i)
		}
		flip := bytes.Clone(b)
		flip[i] ^= 1
		if r, p, err := decodeRecord(flip, 9); err == nil {
			t.Errorf("byte %d flipped was accepted: %+v %v", i, r, p)
		}
	}
	if _, _, err := decodeRecord(b, 10); err == nil {
		t.Error("the record of another file was accepted")
	}
}

func FuzzDecodeRecord(f *testing.F) {
	b, _ := encodeRecord(full(9, "/a\xff"), 44, proof{"boot", true, false}, 0)
	f.Add(b)
	b, _ = encodeRecord(&Record{ID: 1, Path: "/", Dir: true}, 2, proof{}, 0)
	f.Add(b)
	f.Add([]byte(`{"format":1,"crc32c":"a282ead8","body":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, in := range [][]byte{b, sealed(b)} { // the checksum must not be what saves the decoder
			r, p, err := decodeRecord(in, 0)
			if err != nil {
				continue
			}
			again, err := encodeRecord(&r, r.Seq, p, 0)
			if err != nil {
				t.Fatalf("%q gave %+v, which cannot be written: %v", in, r, err)
			}
			r2, p2, err := decodeRecord(again, r.ID)
			if err != nil || p2 != p || !reflect.DeepEqual(r, r2) {
				t.Fatalf("%q: %+v became %+v (%v)", in, r, r2, err)
			}
		}
	})
}

func sealed(body []byte) []byte {
	var d struct{ Seq uint64 }
	_ = json.Unmarshal(body, &d) // whatever it says
	b, err := sealSlot(rawJSON(body), d.Seq, false, 0)
	if err != nil {
		return nil
	}
	return b
}

type rawJSON []byte

func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }
