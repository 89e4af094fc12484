package daemon

import (
	"encoding/json"
	"reflect"
	"testing"

	"ftpfs/cmd/internal/option"
	"ftpfs/cmd/internal/place"
	"ftpfs/cmd/internal/target"
)

// Whatever bytes a user's names are of, the daemon gets them.
func TestConfigTravelsByteForByte(t *testing.T) {
	odd := "M\xffz \n\u00e9"
	uid := uint32(0)
	c := Config{Target: target.Target{Host: "h", Port: 21, User: "u" + odd, Dir: "d" + odd}, Password: "p" + odd,
		Mountpoint: "/m" + odd, Roots: place.Roots{State: "/s" + odd, Cache: "/c" + odd}, Version: "v",
		Options: option.Options{CacheDir: "/cd" + odd, FsName: "f" + odd, UID: &uid, MaxConns: 3}}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var got Config
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, c) {
		t.Errorf("got  %+v\nwant %+v", got, c)
	}
}
