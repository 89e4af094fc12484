package crash

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
)

// op is one call of the load, as its journal holds it: a line before the call, with
// all that it is about to do, and a line after it, with how it ended. Paths are
// relative to the worker's directory.
type op struct {
	N    int    `json:"n"`
	Kind string `json:"op,omitempty"`
	Path string `json:"path,omitempty"`
	To   string `json:"to,omitempty"`
	Off  int64  `json:"off,omitempty"`
	Len  int64  `json:"len,omitempty"`
	Seed uint64 `json:"seed,omitempty"`

	Done bool   `json:"done,omitempty"` // the second line: it returned success
	Err  string `json:"err,omitempty"`  // or this
}

func (o op) String() string {
	end := "IN FLIGHT"
	if o.Done {
		end = "acknowledged"
	} else if o.Err != "" {
		end = o.Err
	}
	return fmt.Sprintf("%d %s %q %q [%d,+%d): %s", o.N, o.Kind, o.Path, o.To, o.Off, o.Len, end)
}

// data is what a write of the op writes: letters, so that a hole of zeros shows, and
// no two ops alike.
func (o op) data() []byte { return letters(o.Seed, o.Len) }

func letters(seed uint64, n int64) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24), byte(seed >> 32), 3})
	_, _ = r.Read(b)
	for i := range b {
		b[i] = 'A' + b[i]&31
	}
	return b
}

// readJournal returns the ops of a worker in order. A line that the worker's death cut
// off never began.
func readJournal(name string) ([]op, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var ops []op
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var o op
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return ops, fmt.Errorf("%s: %w", name, err)
		}
		switch {
		case o.Kind != "":
			ops = append(ops, o)
		case len(ops) > 0 && ops[len(ops)-1].N == o.N:
			ops[len(ops)-1].Done, ops[len(ops)-1].Err = o.Done, o.Err
		default:
			return ops, fmt.Errorf("%s: an end of op %d, which did not begin", name, o.N)
		}
	}
	return ops, lines.Err()
}
