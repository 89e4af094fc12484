package crash

import "testing"

// The model must be able to say no: each of these would be a loss.
func TestTheModelNoticesLosses(t *testing.T) {
	write := op{N: 2, Kind: "write", Path: "a", Len: 10, Seed: 1, Done: true}
	ops := []op{{N: 1, Kind: "create", Path: "a", Done: true}, write, {N: 3, Kind: "close", Path: "a", Done: true},
		{N: 4, Kind: "write", Path: "a", Off: 5, Len: 10, Seed: 2}}
	l := replay(tree{"d": nil}, nil, ops)
	whole := append(write.data()[:5:5], ops[3].data()...)
	mixed := append(whole[:7:7], write.data()[7:10]...)
	torn := append(write.data()[:9:9], 0)
	for what, c := range map[string]struct {
		got map[string][]byte
		ok  bool
	}{
		"before the write in flight": {map[string][]byte{"a": write.data(), "d": nil}, true},
		"after it":                   {map[string][]byte{"a": whole, "d": nil}, true},
		"a part of it":               {map[string][]byte{"a": mixed, "d": nil}, true},
		"an acknowledged byte lost":  {map[string][]byte{"a": torn, "d": nil}, false},
		"shorter":                    {map[string][]byte{"a": write.data()[:9], "d": nil}, false},
		"longer":                     {map[string][]byte{"a": append(whole[:15:15], 'x'), "d": nil}, false},
		"a file lost":                {map[string][]byte{"d": nil}, false},
		"a directory lost":           {map[string][]byte{"a": whole}, false},
		"a file too many":            {map[string][]byte{"a": whole, "b": {}, "d": nil}, false},
	} {
		if _, diff := l.found(c.got); (diff == "") != c.ok {
			t.Errorf("%s: ok %v, want %v: %s", what, diff == "", c.ok, diff)
		}
	}
	moved := replay(tree{"d": nil, "d/f": {data: []byte("x")}}, nil, []op{{N: 1, Kind: "rename", Path: "d", To: "e"}})
	for _, got := range []map[string][]byte{{"d": nil, "d/f": []byte("x")}, {"e": nil, "e/f": []byte("x")}} {
		if _, diff := moved.found(got); diff != "" {
			t.Errorf("a rename in flight: %s", diff)
		}
	}
	if _, diff := moved.found(map[string][]byte{"e": nil, "d": nil, "d/f": []byte("x")}); diff == "" {
		t.Error("half a rename was taken for one")
	}
	if tail([]byte("ab"), [][]byte{[]byte("abc"), {}}) {
		t.Error("half a new file was taken for the tail of an append")
	}
}
