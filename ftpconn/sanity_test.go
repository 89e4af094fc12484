package ftpconn

import (
	"testing"

	"ftpfs/ftpconn/wire"
)

// Numbers and times that cannot be are no answer, and none wraps around.
func TestReplyValuesThatCannotBe(t *testing.T) {
	reply := func(text string) wire.Reply { return wire.Reply{Code: 213, Lines: []string{text}} }
	for _, text := range []string{"", "x", "-1", "+-1", "9223372036854775808", "18446744073709551617", "1e9", "0x10", "1 2", "1,024", "12\x00"} {
		if n, ok := sizeIn(reply(text)); ok {
			t.Errorf("SIZE %q is taken for %d", text, n)
		}
	}
	for text, want := range map[string]int64{"0": 0, " 7 ": 7, "010": 10, "9223372036854775807": 1<<63 - 1} {
		if n, ok := sizeIn(reply(text)); !ok || n != want {
			t.Errorf("SIZE %q is %d, %v", text, n, ok)
		}
	}
	for _, text := range []string{"", "0", "20240231000000", "20241301000000", "20240101250000", "20240101006000", "99999999999999", "-0240101000000", "2024010100000", "20240101000000 and more", "２０２４0101000000"} {
		if at, ok := timeIn(reply(text)); ok {
			t.Errorf("MDTM %q is taken for %v", text, at)
		}
	}
	if at, ok := timeIn(wire.Reply{Code: 550, Lines: []string{"20240101000000"}}); ok {
		t.Errorf("a refusal is taken for %v", at)
	}
}

// A size that cannot be makes MLST no answer, or one without a size. The name in it is
// not compared: servers answer with a bare name, another case, or a link's target, and
// one reply for each command is what keeps answers and questions together.
func TestMLSTSizeThatCannotBe(t *testing.T) {
	for _, line := range []string{" type=file;size=99999999999999999999;modify=20240101000000; /a", " type=file;size=-5; /a", " type=file;size=0x5; /a"} {
		e, err := entryOf("/a", wire.Reply{Code: 250, Lines: []string{"Here:", line, "End."}})
		if err == nil && e.Size >= 0 {
			t.Errorf("%q answers for /a as %+v", line, e)
		}
	}
}
