package pin_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"ftpfs/ftpconn/pin"
	"ftpfs/test/certs"
)

func TestPin(t *testing.T) {
	one, other := certs.Issue(t, certs.Options{}), certs.Issue(t, certs.Options{})
	key, whole := sha256.Sum256(one.Leaf.RawSubjectPublicKeyInfo), sha256.Sum256(one.Leaf.Raw)
	b64, digits := base64.StdEncoding.EncodeToString(key[:]), hex.EncodeToString(whole[:])
	var colons []string
	for i := 0; i < len(digits); i += 2 {
		colons = append(colons, strings.ToUpper(digits[i:i+2]))
	}
	for _, s := range []string{b64, strings.TrimRight(b64, "="), "sha256//" + b64, digits, strings.Join(colons, ":"), pin.Of(one.Leaf).String()} {
		p, err := pin.Parse(s)
		if err != nil || !p.Fits(one.Leaf) || p.Fits(other.Leaf) {
			t.Errorf("%s: %v, fits its own %v, another %v", s, err, p.Fits(one.Leaf), p.Fits(other.Leaf))
		}
		var back pin.Pin
		b, err := json.Marshal(p)
		if err == nil {
			err = json.Unmarshal(b, &back)
		}
		if err != nil || back != p {
			t.Errorf("%s comes back from JSON as %v, %v", s, back, err)
		}
	}
	// The sum of a key in hex digits is nobody's fingerprint.
	if p, err := pin.Parse(hex.EncodeToString(key[:])); err != nil || p.Fits(one.Leaf) {
		t.Errorf("%v, fits %v", err, p.Fits(one.Leaf))
	}
	for _, s := range []string{"", "=", "00", b64[:20], b64 + "AAAA", digits[:62], digits + "00", "sha1//" + b64, strings.Repeat(":", 64)} {
		if p, err := pin.Parse(s); err == nil {
			t.Errorf("Parse(%q) = %v", s, p)
		}
	}
}
