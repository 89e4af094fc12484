package ranges

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestAdd(t *testing.T) {
	base := []Range{{10, 20}, {30, 40}, {50, 60}}
	for _, c := range []struct {
		name     string
		off, end int64
		want     []Range
	}{
		{"into nothing between", 22, 25, []Range{{10, 20}, {22, 25}, {30, 40}, {50, 60}}},
		{"in front", 0, 5, []Range{{0, 5}, {10, 20}, {30, 40}, {50, 60}}},
		{"behind", 70, 80, []Range{{10, 20}, {30, 40}, {50, 60}, {70, 80}}},
		{"joins on the left", 20, 25, []Range{{10, 25}, {30, 40}, {50, 60}}},
		{"joins on the right", 25, 30, []Range{{10, 20}, {25, 40}, {50, 60}}},
		{"joins both", 20, 30, []Range{{10, 40}, {50, 60}}},
		{"swallows all", 0, 100, []Range{{0, 100}}},
		{"swallows one, joins its neighbours", 20, 50, []Range{{10, 60}}},
		{"held already", 32, 38, base},
		{"appended", 60, 61, []Range{{10, 20}, {30, 40}, {50, 61}}},
		{"over the last", 45, 99, []Range{{10, 20}, {30, 40}, {45, 99}}},
		{"empty", 25, 25, base},
		{"reversed", 25, 22, base},
		{"below zero", -5, 5, []Range{{0, 5}, {10, 20}, {30, 40}, {50, 60}}},
		{"to the largest position", 60, math.MaxInt64, []Range{{10, 20}, {30, 40}, {50, math.MaxInt64}}},
	} {
		s := Of(base...)
		s.Add(c.off, c.end)
		if got := s.Ranges(); !slices.Equal(got, c.want) || s.check() != nil {
			t.Errorf("%s: %v + [%d,%d) = %v, want %v (%v)", c.name, base, c.off, c.end, got, c.want, s.check())
		}
	}
}

func TestRemove(t *testing.T) {
	base := []Range{{10, 20}, {30, 40}, {50, 60}}
	for _, c := range []struct {
		name     string
		off, end int64
		want     []Range
	}{
		{"nothing there", 20, 30, base},
		{"out of the middle", 32, 35, []Range{{10, 20}, {30, 32}, {35, 40}, {50, 60}}},
		{"a whole one", 30, 40, []Range{{10, 20}, {50, 60}}},
		{"left part", 25, 35, []Range{{10, 20}, {35, 40}, {50, 60}}},
		{"right part", 35, 45, []Range{{10, 20}, {30, 35}, {50, 60}}},
		{"across", 15, 55, []Range{{10, 15}, {55, 60}}},
		{"all", -1, math.MaxInt64, nil},
		{"empty", 35, 35, base},
		{"behind the end", 60, 70, base},
	} {
		s := Of(base...)
		s.Remove(c.off, c.end)
		if got := s.Ranges(); !slices.Equal(got, c.want) || s.check() != nil {
			t.Errorf("%s: %v - [%d,%d) = %v, want %v (%v)", c.name, base, c.off, c.end, got, c.want, s.check())
		}
	}
}

func TestCloneIsIndependent(t *testing.T) {
	s := Of(Range{0, 10}, Range{20, 30}, Range{40, 50})
	c := s.Clone()
	s.Remove(5, 45)
	s.Add(100, 101)
	if want := Of(Range{0, 10}, Range{20, 30}, Range{40, 50}); !c.Equal(want) {
		t.Errorf("the clone became %v, want %v", c, want)
	}
	out := c.Ranges()
	out[0].Off = 7
	if c.Contains(0, 1) == false {
		t.Error("writing to the result of Ranges changed the set")
	}
}

func TestJSON(t *testing.T) {
	for _, c := range []struct {
		text string
		ok   bool
	}{
		{`[]`, true}, {`null`, true}, {`[[0,1]]`, true}, {`[[0,1],[2,9223372036854775807]]`, true},
		{`[[0,1],[1,2]]`, false}, // adjacent
		{`[[0,5],[3,8]]`, false},
		{`[[5,8],[0,3]]`, false},
		{`[[3,3]]`, false}, {`[[4,3]]`, false}, {`[[-1,3]]`, false},
		{`[[1]]`, false}, {`[[1,2,3]]`, false}, {`[1,2]`, false}, {`{}`, false}, {`[[0,1.5]]`, false},
		{`[[0,9223372036854775808]]`, false},
	} {
		s := Of(Range{1, 2})
		err := json.Unmarshal([]byte(c.text), &s)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.text, err)
		}
		if err != nil && !s.Equal(Of(Range{1, 2})) {
			t.Errorf("%s: refused, but the set became %v", c.text, s)
		}
	}
}

// naive is the model: one bool for each position below its length.
type naive [256]bool

func (m *naive) set(off, end int64, v bool) {
	for i := max(off, 0); i < min(end, int64(len(m))); i++ {
		m[i] = v
	}
}

func (m *naive) ranges() (out []Range) {
	for i := 0; i < len(m); i++ {
		if !m[i] {
			continue
		}
		j := i
		for j < len(m) && m[j] {
			j++
		}
		out = append(out, Range{int64(i), int64(j)})
		i = j
	}
	return out
}

// compare asks s and m the same questions about [off, end).
func compare(t *testing.T, s Set, m *naive, off, end int64) {
	t.Helper()
	if err := s.check(); err != nil {
		t.Fatalf("%v: %v", s, err)
	}
	want := m.ranges()
	if !slices.Equal(s.Ranges(), want) {
		t.Fatalf("set %v, model %v", s, want)
	}
	var count, covered, total int64
	var missing []Range
	for i := off; i < end; i++ {
		if m[i] {
			count++
		} else if k := len(missing); k > 0 && missing[k-1].End == i {
			missing[k-1].End++
		} else {
			missing = append(missing, Range{i, i + 1})
		}
	}
	for i := off; i < int64(len(m)) && m[i]; i++ {
		covered++
	}
	for _, b := range m {
		if b {
			total++
		}
	}
	length := max(end-off, 0)
	if got := s.Contains(off, end); got != (count == length) {
		t.Fatalf("%v.Contains(%d,%d) = %v", s, off, end, got)
	}
	if got := s.Overlaps(off, end); got != (count > 0) {
		t.Fatalf("%v.Overlaps(%d,%d) = %v", s, off, end, got)
	}
	if got := s.Missing(off, end); !slices.Equal(got, missing) {
		t.Fatalf("%v.Missing(%d,%d) = %v, want %v", s, off, end, got, missing)
	}
	r, ok := s.NextMissing(off, end)
	if ok != (len(missing) > 0) || ok && r != missing[0] {
		t.Fatalf("%v.NextMissing(%d,%d) = %v %v, want the first of %v", s, off, end, r, ok, missing)
	}
	if got := s.Covered(off); got != covered {
		t.Fatalf("%v.Covered(%d) = %d, want %d", s, off, got, covered)
	}
	if s.Len() != total || s.Empty() != (total == 0) {
		t.Fatalf("%v: Len %d, Empty %v, want %d", s, s.Len(), s.Empty(), total)
	}
	if n := len(want); n > 0 && s.End() != want[n-1].End {
		t.Fatalf("%v: End %d", s, s.End())
	}
	b, err := json.Marshal(s)
	var back Set
	if err != nil || json.Unmarshal(b, &back) != nil || !back.Equal(s) {
		t.Fatalf("%v became %s became %v (%v)", s, b, back, err)
	}
}

// run interprets prog as operations on a Set and on the model.
func run(t *testing.T, prog []byte) {
	var s, prev Set
	var m naive
	for len(prog) >= 3 {
		op, off, end := prog[0], int64(prog[1]), int64(prog[2])
		prog = prog[3:]
		before := s.Clone()
		switch op % 5 {
		case 0, 1:
			s.Add(off, end)
			m.set(off, end, true)
		case 2:
			s.Remove(off, end)
			m.set(off, end, false)
		case 3:
			s.Truncate(off)
			m.set(off, 256, false)
		case 4:
			prev = s.Clone()
		}
		compare(t, s, &m, off, end)
		if got, want := s.Includes(before), len(minus(before, s)) == 0; got != want {
			t.Fatalf("%v.Includes(%v) = %v", s, before, got)
		}
		if prev.check() != nil {
			t.Fatalf("a clone was damaged: %v", prev)
		}
	}
}

func minus(a, b Set) []Range {
	d := a.Clone()
	for _, r := range b.Ranges() {
		d.Remove(r.Off, r.End)
	}
	return d.Ranges()
}

func TestAgainstModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		prog := make([]byte, 120)
		for i := range prog {
			prog[i] = byte(rnd.Uint32())
		}
		run(t, prog)
	}
}

func FuzzModel(f *testing.F) {
	f.Add([]byte{0, 1, 10, 2, 3, 5, 3, 4, 0})
	f.Fuzz(run)
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`[[0,1],[3,9]]`))
	f.Add([]byte(`[[0,1],[1,9]]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Set
		if json.Unmarshal(b, &s) == nil && s.check() != nil {
			t.Fatalf("%q was accepted: %v", b, s.check())
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	b.ReportAllocs()
	var s Set
	for i := range int64(b.N) {
		s.Add(i*4096, (i+1)*4096)
	}
}

func BenchmarkRandomAdd(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	b.ReportAllocs()
	var s Set
	for b.Loop() {
		off := rnd.Int64N(10000) * 8192
		s.Add(off, off+4096)
	}
}

func BenchmarkContains(b *testing.B) {
	var s Set
	for i := range int64(10000) {
		s.Add(i*8192, i*8192+4096)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	b.ReportAllocs()
	for b.Loop() {
		off := rnd.Int64N(10000) * 8192
		if !s.Contains(off, off+4096) {
			b.Fatal(off)
		}
	}
}
