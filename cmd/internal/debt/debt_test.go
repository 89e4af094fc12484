package debt

import (
	"testing"

	"ftpfs/cache"
)

func TestLeft(t *testing.T) {
	for _, c := range []struct {
		st   cache.Status
		want string
	}{
		{cache.Status{}, ""},
		{cache.Status{OwedFiles: 3, OwedBytes: 1288490189}, "3 files, 1.2 GiB still owed; they will go out at the next mount"},
		{cache.Status{OwedFiles: 1}, "1 file, 0 B still owed; it will go out at the next mount"},
		{cache.Status{Parked: 2}, "2 files are parked; ftpfs status says why after the next mount"},
		{cache.Status{OwedFiles: 2, OwedBytes: 2048, Open: 1, Parked: 1},
			"1 file, 2 KiB still owed; it will go out at the next mount; " +
				"1 file was open for writing and may not be whole; after the next mount ftpfs retry sends what there is; " +
				"1 file is parked; ftpfs status says why after the next mount"},
	} {
		if got := Of(c.st, true).Left(); got != c.want {
			t.Errorf("%+v:\n got %q\nwant %q", c.st, got, c.want)
		}
	}
	if d := Of(cache.Status{OwedFiles: 2, Open: 1}, false); d.Files != 2 || d.Open != 0 {
		t.Errorf("while mounted: %+v; an open file can still be closed", d)
	}
}
