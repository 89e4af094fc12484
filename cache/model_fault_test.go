package cache

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// TestModelWithFaultyUploads is TestModel on a server that breaks off uploads and
// publications, before or after they had their effect.
func TestModelWithFaultyUploads(t *testing.T) {
	for _, c := range []struct {
		name string
		opts mem.Options
		cfg  func(*Config)
	}{
		{"published at once", mem.Options{}, nil},
		{"tails of anything", mem.Options{}, appendAll},
		{"published late", mem.Options{CostlyStat: true}, func(c *Config) { c.PublishDelay = 20 * time.Millisecond }},
	} {
		t.Run(c.name, func(t *testing.T) {
			seed := *modelSeed
			if seed == 0 {
				seed = rand.Uint64()
			}
			t.Logf("repeat with -model.seed=%d", seed)
			store := mem.New(c.opts)
			stop := breakUploads(store, rand.New(rand.NewPCG(seed, 2)))
			m := mountMem(t, store, c.cfg)
			runModelUntil(t, m, rand.New(rand.NewPCG(seed, 1)), *modelOps/3, func() {
				stop()
				m.queue.Kick()
			})
		})
	}
}

// breakUploads makes one step in five of those that only publications take fail,
// half of them after it was done.
func breakUploads(store *mem.Store, r *rand.Rand) (stop func()) {
	var mu sync.Mutex // guards r
	kinds := []remote.Kind{remote.Down, remote.Timeout, remote.Temporary}
	fault := func(op, _ string) error {
		if op != mem.OpWrite && op != mem.OpData && op != mem.OpPublish {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if r.IntN(10) > 0 {
			return nil
		}
		return &remote.Error{Kind: kinds[r.IntN(len(kinds))], Text: "broken off by the test"}
	}
	store.Hook(fault)
	store.HookAfter(fault)
	return func() {
		store.Hook(nil)
		store.HookAfter(nil)
	}
}
