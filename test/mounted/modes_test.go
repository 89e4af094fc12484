package mounted

import (
	"os"
	"testing"
)

// Somebody makes files private on the server after they were last looked at here, and before
// they are written over here. They are private after that. A mode that is set here counts.
func TestAFileMadePrivateOnTheServerStaysPrivate(t *testing.T) {
	onEach(t, func(t *testing.T, w work) {
		all := []string{"written", "appended to", "chmod here, too"}
		for _, name := range all {
			put(t, w.Path(name), []byte("base"))
		}
		w.Sync()
		for _, name := range all {
			must(t, os.Chmod(w.behind(w.Path(name)), 0o600))
		}
		put(t, w.Path("written"), []byte("ours"))
		f, err := os.OpenFile(w.Path("appended to"), os.O_WRONLY|os.O_APPEND, 0)
		must(t, err)
		_, err = f.WriteString(" and more")
		must(t, err)
		must(t, f.Close())
		put(t, w.Path("chmod here, too"), []byte("ours"))
		must(t, os.Chmod(w.Path("chmod here, too"), 0o640))
		w.Sync()
		for i, want := range []struct {
			content string
			mode    os.FileMode
		}{{"ours", 0o600}, {"base and more", 0o600}, {"ours", 0o640}} {
			p := w.behind(w.Path(all[i]))
			holds(t, p, []byte(want.content))
			for where, p := range map[string]string{"on the server": p, "here": w.Path(all[i])} {
				info, err := os.Stat(p)
				must(t, err)
				if got := info.Mode().Perm(); got != want.mode {
					t.Errorf("%q has mode %o %s, want %o", all[i], got, where, want.mode)
				}
			}
		}
		w.Unmount()
	}, "dir_cache_time=3600")
}
