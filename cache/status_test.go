package cache

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"ftpfs/cache/remote"
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

func TestParkedForItsNameIsSentUnderAnother(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	store.Hook(func(op, path string) error {
		if op == "publish" && strings.Contains(path, "bad") {
			return &remote.Error{Op: op, Path: path, Kind: remote.BadName}
		}
		return nil
	})
	m.must(m.write("/bad", []byte("x")))
	if out, err := m.Sync(context.Background(), "/", func(Progress) {}); out != SomeParked || err != nil {
		t.Fatalf("Sync: %v, %v; want SomeParked", out, err)
	}
	m.must(m.rename("/bad", "/good"))
	m.sync()
	m.onServer("/good", "x")
}
