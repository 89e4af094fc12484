package mem_test

import (
	"testing"
	"time"

	"ftpfs/cache/remote/mem"
	"ftpfs/cache/remote/remotetest"
)

// TestContract: the fake keeps the promises it stands in for, also as a server
// that can do little.
func TestContract(t *testing.T) {
	for name, c := range map[string]struct {
		opts   mem.Options
		limits remotetest.Limits
	}{
		"able": {mem.Options{Sums: "SHA-256"}, remotetest.Limits{}},
		"poor": {mem.Options{NoReplace: true, NoTimes: true, NoModes: true, NoAppend: true, NoSpaceSay: true, CostlyStat: true},
			remotetest.Limits{NoReplace: true, NoTimes: true, NoModes: true, NoAppend: true, NoSums: true}},
		"coarse": {mem.Options{MGrain: time.Minute, NoDirTimes: true, Unique: true, Quota: 1 << 30},
			remotetest.Limits{NoDirTimes: true, NoSums: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			remotetest.Run(t, func(t *testing.T) remotetest.Subject {
				s := mem.New(c.opts)
				var hold *mem.Hold
				return remotetest.Subject{Store: s, Behind: s.Disk(), Limits: c.limits,
					Freeze: func() { hold = s.Hold(func(_, _ string) bool { return true }) },
					Thaw:   func() { hold.Release() }}
			})
		})
	}
}
