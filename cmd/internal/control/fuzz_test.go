package control

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"testing"
	"time"
)

// FuzzRequest sends what may be no request. The daemon answers each with at most one
// frame, of one kind, and hands on a path only as it was sent.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{`{"op":"status"}`, `{"op":"sync","path":"/a","limit":-1}`, `{"op":"discard","path_bytes":"Y2Fm6Q=="}`, `{}`, `[]`, `null`, "", "\x00", `{"op":1}`, `{"op":"sync","path":"` + "\xff" + `"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		line, _, _ = bytes.Cut(line, []byte("\n"))
		var asked *Request
		path := serve(t, func(_ context.Context, r Request, _ func(any)) (any, error) {
			asked = &r
			return Count{Files: 1}, nil
		})
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Write(append(line, '\n')); err != nil && len(line) <= maxRequest/2 {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(c)
		if err != nil && len(line) <= maxRequest/2 {
			t.Fatalf("%q: %v", line, err)
		}
		var got frame
		if len(answer) > 0 {
			if err := json.Unmarshal(answer, &got); err != nil {
				t.Fatalf("%q was answered with %q", line, answer)
			}
			if (got.Error != "") == (got.Result != nil) || got.Progress != nil {
				t.Fatalf("%q was answered with %q", line, answer)
			}
		}
		if (asked != nil) != (got.Result != nil) {
			t.Fatalf("%q: handed on %+v, answered %q", line, asked, answer)
		}
		var want Request
		if asked != nil && (json.Unmarshal(line, &want) != nil || asked.Op != want.Op || want.PathBytes == nil && want.Path != "" && asked.Path != want.Path) {
			t.Fatalf("%q was handed on as %+v", line, asked)
		}
	})
}
