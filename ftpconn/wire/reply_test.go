package wire

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
)

func FuzzReply(f *testing.F) {
	for _, s := range []string{"220 hi\r\n", "220\n", "211-a\r\n b\r\n211 end\r\n", "250-x\r\n250-y\r\n250 z\r\n",
		"999 no\r\n", "22 x\r\n", "220-\r\n221 other\r\n220 end\r\n", "\r\n", "220 \xff\xfb\x01\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := readReply(bufio.NewReaderSize(bytes.NewReader(in), maxLine))
		if err != nil {
			return
		}
		if r.Code < 100 || r.Code > 699 || len(r.Lines) == 0 {
			t.Fatalf("%q gives %+v", in, r)
		}
		// What the library is given must read back as the same reply.
		again, err := readReply(bufio.NewReaderSize(strings.NewReader(r.render(r.Code)), 2*maxLine))
		if err != nil || again.Code != r.Code || len(again.Lines) != len(r.Lines) {
			t.Fatalf("%q gives %+v, read back %+v, %v", in, r, again, err)
		}
	})
}

func TestParsePort(t *testing.T) {
	for _, c := range []struct {
		cmd, text string
		port      int
	}{
		{"EPSV", "Entering Extended Passive Mode (|||6446|)", 6446},
		{"EPSV", "ok (!!!6446!).", 6446},
		{"EPSV", "ok (|1|10.0.0.1|6446|)", 6446},
		{"EPSV", "ok |||6446|", 0},
		{"EPSV", "(|||70000|)", 0},
		{"EPSV", "(|||0|)", 0},
		{"EPSV", ")(", 0},
		{"PASV", "Entering Passive Mode (10,0,0,1,25,46).", 25<<8 | 46},
		{"PASV", "Entering Passive Mode 10,0,0,1,25,46", 25<<8 | 46},
		{"PASV", "Entering Passive Mode (10,0,0,1,256,46)", 0},
		{"PASV", "Entering Passive Mode (10,0,0,1,46)", 0},
		{"PASV", "=10,0,0,1,0,0", 0},
	} {
		port, err := parsePort(c.cmd, c.text)
		if port != c.port || (err == nil) != (c.port != 0) {
			t.Errorf("%s %q: got %d, %v; want %d", c.cmd, c.text, port, err, c.port)
		}
	}
}
