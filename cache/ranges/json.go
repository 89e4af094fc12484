package ranges

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// MarshalJSON writes the set as [[off,end],…].
func (s Set) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 2+len(s.r)*24)
	b = append(b, '[')
	for i, r := range s.r {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '[')
		b = strconv.AppendInt(b, r.Off, 10)
		b = append(b, ',')
		b = strconv.AppendInt(b, r.End, 10)
		b = append(b, ']')
	}
	return append(b, ']'), nil
}

// UnmarshalJSON accepts only what MarshalJSON can have written (and null): a list
// that is out of order, overlaps, or has an empty or negative range was not
// written by us, and the set is left as it was.
func (s *Set) UnmarshalJSON(b []byte) error {
	var list [][]int64
	if err := json.Unmarshal(b, &list); err != nil {
		return fmt.Errorf("ranges: %w", err)
	}
	var t Set
	if len(list) > 0 {
		t.r = make([]Range, len(list))
	}
	for i, p := range list {
		if len(p) != 2 {
			return fmt.Errorf("ranges: element %d has %d numbers, want 2", i, len(p))
		}
		t.r[i] = Range{p[0], p[1]}
	}
	if err := t.check(); err != nil {
		return fmt.Errorf("ranges: %w", err)
	}
	*s = t
	return nil
}
