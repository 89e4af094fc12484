package cache

import (
	"encoding/json"
	"testing"
	"time"

	"ftpfs/cache/remote/mem"
)

func TestStatusCarriesNamesThatAreNotUTF8(t *testing.T) {
	m := mountMem(t, mem.New(mem.Options{}), func(c *Config) { c.PublishDelay = time.Hour })
	m.must(m.write("/\xff\xfe", []byte("x")))
	b, err := json.Marshal(m.Status())
	m.must(err)
	var s Status
	m.must(json.Unmarshal(b, &s))
	if len(s.Owed) != 1 || s.Owed[0].Name() != "/\xff\xfe" {
		t.Errorf("got %+v, want the name byte for byte", s.Owed)
	}
}
