package soak

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

// world is the reference. Below ours/ only the mount acts, and each name must be what
// the operations made of it, or, where one failed, what it was before; a rename that
// failed happened or did not, never by half. Below theirs/ only another client acts, on
// the server's disk, and the mount must show it within dir_cache_time. Below both/ the
// two write the same names without looking: every content that either of them finished
// must be there in the end, under whatever name.
type world struct {
	t   *testing.T
	r   *rand.Rand
	srv *servers.Server
	m   *mount.Mount
	did figures

	files map[string][]string // below ours/: what a file may hold; the last is what it should
	dirs  map[string]bool     // below ours/
	loose map[string]bool     // names of which an operation failed: also absence will do
	must  map[string]string   // contents below both/ that must not be lost, and their name
	open  []halves            // renames that failed, of names to which nothing else was done since
	log   []string
	down  bool
	froze bool // the server, once
}

func newWorld(t *testing.T, kind servers.Kind, seed uint64) *world {
	srv := servers.Start(t, kind, servers.Options{})
	for _, d := range []string{"ours", "theirs", "both"} {
		if err := os.Mkdir(filepath.Join(srv.Root, d), 0o777); err != nil {
			t.Fatal(err)
		}
		srv.Own(filepath.Join(srv.Root, d))
	}
	w := &world{t: t, r: rand.New(rand.NewPCG(seed, uint64(len(kind)))), srv: srv,
		files: map[string][]string{}, dirs: map[string]bool{"ours": true}, loose: map[string]bool{}, must: map[string]string{}}
	t.Logf("repeat with -soak.seed=%d (seeds choose the server, too)", seed)
	w.m = mount.New(t, mount.Options{URL: srv.URL(""), Password: srv.Password, Watchdog: 30 * time.Minute,
		O: []string{"dir_cache_time=1", "timeout=3", "max_conns=5"}})
	return w
}

func (w *world) fatal(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s\nafter:\n  %s", fmt.Sprintf(format, args...), strings.Join(w.log[max(0, len(w.log)-40):], "\n  "))
}

func (w *world) note(format string, args ...any) { w.log = append(w.log, fmt.Sprintf(format, args...)) }

func (w *world) content() string {
	n := 20 + w.r.IntN(2000)
	if w.r.IntN(40) == 0 {
		n = w.r.IntN(1 << 20)
	}
	return fmt.Sprintf("%016x", w.r.Uint64()) + strings.Repeat(fmt.Sprintf("%08x", w.r.Uint32()), n/8)
}

func sorted[V any](m map[string]V) []string {
	all := make([]string, 0, len(m))
	for k := range m {
		all = append(all, k)
	}
	sort.Strings(all)
	return all
}

func pick[V any](w *world, m map[string]V) string {
	if len(m) == 0 {
		return ""
	}
	return sorted(m)[w.r.IntN(len(m))]
}

// failed takes in that an operation ended with err. While the server is there it must
// not; while it is not, never as if something did not exist.
func (w *world) failed(what string, err error, names ...string) {
	w.t.Helper()
	w.note("  %s failed: %v", what, err)
	if !w.down && !w.isLoose(names...) {
		w.fatal("%s: %v", what, err)
	}
	if errors.Is(err, fs.ErrNotExist) && !w.isLoose(names...) {
		w.fatal("the server is away, and %s says: %v", what, err)
	}
	for _, n := range names {
		w.loose[n] = true
	}
}

func (w *world) isLoose(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		for ; n != "."; n = filepath.Dir(n) {
			if w.loose[n] {
				return true
			}
		}
		return false
	})
}

func (w *world) step() {
	w.did.tried++
	switch k := w.r.IntN(100); {
	case k < 30:
		p := filepath.Join(pick(w, w.dirs), fmt.Sprintf("f%d", w.r.IntN(12)))
		w.write(p, w.content(), os.O_TRUNC)
	case k < 45:
		if p := pick(w, w.files); p != "" {
			w.write(p, w.content(), os.O_APPEND)
		}
	case k < 55:
		w.rename()
	case k < 63:
		if p := pick(w, w.files); p != "" {
			w.note("unlink %s", p)
			w.touched(p)
			if err := os.Remove(w.m.Path(p)); err != nil {
				w.failed("unlink "+p, err, p)
			} else {
				delete(w.files, p)
				w.did.ops++
			}
		}
	case k < 68:
		p := filepath.Join(pick(w, w.dirs), fmt.Sprintf("d%d", w.r.IntN(4)))
		if w.dirs[p] || strings.Count(p, "/") > 3 {
			return
		}
		w.note("mkdir %s", p)
		w.touched(p)
		if err := os.Mkdir(w.m.Path(p), 0o755); err != nil {
			w.failed("mkdir "+p, err, p)
		} else {
			w.dirs[p] = true
			w.did.ops++
		}
	case k < 80:
		if p := pick(w, w.files); p != "" {
			w.check(p)
		}
	case k < 90:
		w.theirs()
	default:
		w.both()
	}
}

// write makes p hold data, or ends it with data.
func (w *world) write(p, data string, flag int) {
	w.note("write %s %d flag %x", p, len(data), flag)
	whole := data
	if was := w.files[p]; flag == os.O_APPEND && was != nil {
		if len(was) > 1 {
			return // which of them it is is not known
		}
		whole = was[0] + data
	}
	w.touched(p)
	f, err := os.OpenFile(w.m.Path(p), os.O_WRONLY|os.O_CREATE|flag, 0o644)
	if err == nil {
		_, err = f.WriteString(data)
		if w.r.IntN(8) == 0 && err == nil {
			err = f.Sync()
		}
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		w.failed("write "+p, err, p)
		w.files[p] = append(w.files[p], "", data, whole)
		return
	}
	w.did.ops++
	w.files[p] = []string{whole}
}

// check reads p through the mount. That changes nothing, and so decides nothing: what was
// certain before is so after a failure, and what was not is not.
func (w *world) check(p string) {
	w.t.Helper()
	got, err := os.ReadFile(w.m.Path(p))
	if err == nil {
		w.did.ops++
	}
	switch {
	case err != nil:
		certain := !w.isLoose(p)
		w.failed("read "+p, err, p)
		if certain {
			delete(w.loose, p)
		}
	case w.isLoose(p):
	case !slices.Contains(w.files[p], string(got)):
		w.fatal("read %s: %d bytes %.40q; want %d bytes %.40q", p, len(got), got, len(w.files[p][0]), w.files[p][0])
	}
}

// theirs has the other client change something of its own.
func (w *world) theirs() {
	w.did.changes++
	p := filepath.Join(w.srv.Root, "theirs", fmt.Sprintf("t%d", w.r.IntN(8)))
	w.note("their change of %s", filepath.Base(p))
	var err error
	switch w.r.IntN(3) {
	case 0:
		err = os.RemoveAll(p)
	case 1:
		err = os.WriteFile(p, []byte(w.content()), 0o666)
	case 2:
		next := filepath.Join(w.srv.Root, "theirs", fmt.Sprintf("next%d", w.r.Uint32()))
		if err = os.WriteFile(next, []byte(w.content()), 0o666); err == nil {
			err = os.Rename(next, p)
		}
	}
	if err != nil {
		w.fatal("the other client: %v", err)
	}
	w.did.ops++
}

// both has the two write one name. The other client moves what is there aside and puts
// its own in its place, so that nothing is lost by its hand.
func (w *world) both() {
	p := filepath.Join("both", fmt.Sprintf("b%d", w.did.tried))
	w.note("both write %s", p)
	ours, theirs := w.content(), w.content()
	if os.WriteFile(w.m.Path(p), []byte(ours), 0o666) == nil {
		w.must[ours] = p
		w.did.ops++
	}
	w.did.changes++
	disk := filepath.Join(w.srv.Root, p)
	if err := os.Rename(disk, fmt.Sprintf("%s.aside%d", disk, w.r.Uint64())); err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.fatal("the other client: %v", err)
	}
	next := fmt.Sprintf("%s.next%d", disk, w.r.Uint64())
	if err := os.WriteFile(next, []byte(theirs), 0o666); err != nil {
		w.fatal("the other client: %v", err)
	}
	w.srv.Own(next)
	if os.Link(next, disk) == nil { // not over what we have published meanwhile
		w.must[theirs] = p
	}
	if err := os.Remove(next); err != nil {
		w.fatal("the other client: %v", err)
	}
}

// outage takes the server away while the mount is used, or has it say nothing.
func (w *world) outage() {
	w.did.outages++
	frozen := w.r.IntN(2) == 0
	w.note("outage, frozen %v", frozen)
	w.down = true
	if frozen {
		w.froze = true
		w.srv.Freeze()
	} else {
		w.srv.Stop()
	}
	for range 10 + w.r.IntN(20) {
		w.step()
	}
	if frozen {
		w.srv.Thaw()
	} else {
		w.srv.Restart()
	}
	w.note("the server is back")
	for range 5 {
		w.step() // the mount may not know yet
	}
}

// remount ends the daemon, in order or not.
func (w *world) remount(kill bool) {
	w.did.restarts++
	w.note("remount, killed %v", kill)
	if kill {
		w.did.kills++
		w.m.Kill()
	} else {
		w.m.Signal(syscall.SIGTERM)
		w.m.AwaitEnd()
	}
	w.m = w.m.Again(mount.Options{Password: w.srv.Password, Watchdog: 30 * time.Minute,
		O: []string{"dir_cache_time=1", "timeout=3", "max_conns=5"}})
}

// settle waits until all is on the server, compares, and begins anew from what is there.
func (w *world) settle() {
	w.t.Helper()
	w.note("settle")
	deadline := time.Now().Add(waiting)
	for {
		mount.Ftpfs(w.t, "retry", w.m.Dir)
		r := mount.Ftpfs(w.t, "sync", "--timeout", "20", w.m.Dir)
		if r.Code == 0 {
			break
		}
		if time.Now().After(deadline) {
			w.fatal("ftpfs sync still fails after %v: %+v; status %+v", waiting, r, w.m.Status().Cache)
		}
		w.unstick()
	}
	w.down = false
	var differ error
	for { // dir_cache_time must have passed since the last change by the other client
		if differ = w.differs(); differ == nil {
			break
		}
		if time.Now().After(deadline) {
			w.fatal("settled: %v", differ)
		}
		if errors.Is(differ, syscall.ETIMEDOUT) {
			w.unstick()
		}
		time.Sleep(200 * time.Millisecond) // nothing tells when a listing's time is over
	}
	w.found()
	w.adopt()
	if s := w.m.Status().Cache; s.Owed != 0 || s.Parked != 0 || s.Quarantined != 0 {
		w.fatal("settled, but %d owed, %d parked, %d quarantined", s.Owed, s.Parked, s.Quarantined)
	}
}

// unstick does what an administrator does with sessions of vsftpd that an outage left stuck,
// with their locks on files: see EndWriters.
func (w *world) unstick() {
	if w.srv.Kind != servers.VSFTPD || !w.froze {
		return
	}
	for _, p := range w.srv.EndWriters() {
		w.did.stuck++
		w.note("a session is ended that had been stuck since it was frozen, with %s", p)
	}
}

// clear removes everything of ours, so that what the daemon holds at rest can be compared.
func (w *world) clear() {
	w.t.Helper()
	w.note("remove all")
	for _, name := range sorted(w.dirs) {
		if filepath.Dir(name) != "ours" {
			continue
		}
		if err := os.RemoveAll(w.m.Path(name)); err != nil {
			w.fatal("remove all of %s: %v", name, err)
		}
	}
	for _, name := range sorted(w.files) {
		if filepath.Dir(name) == "ours" {
			if err := os.Remove(w.m.Path(name)); err != nil {
				w.fatal("remove %s: %v", name, err)
			}
		}
	}
	clear(w.files)
	clear(w.dirs)
	w.dirs["ours"] = true
	w.settle()
}

// tree is what lies below dir: contents by path, "/" for directories.
func tree(dir string) (map[string]string, error) {
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		switch {
		case strings.HasPrefix(d.Name(), ".ftpfs-"):
		case d.IsDir():
			out[rel] = "/"
		default:
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			out[rel] = string(data)
		}
		return nil
	})
	return out, err
}

// differs compares the mount with the server's disk, and both with the reference.
func (w *world) differs() error {
	disk, err := tree(w.srv.Root)
	if err != nil {
		return err
	}
	seen, err := tree(w.m.Dir)
	if err != nil {
		return err
	}
	for p, want := range disk {
		if got, ok := seen[p]; !ok || got != want {
			return fmt.Errorf("%s is %d bytes %.30q on the server, and %d bytes %.30q in the mount (there: %v)", p, len(want), want, len(got), got, ok)
		}
	}
	for p := range seen {
		if _, ok := disk[p]; !ok {
			return fmt.Errorf("%s is in the mount, and not on the server", p)
		}
	}
	for p, may := range w.files {
		if got, ok := disk[p]; !w.isLoose(p) && (!ok || !slices.Contains(may, got)) {
			return fmt.Errorf("the server's %s is %d bytes %.30q (there: %v); want %d bytes %.30q", p, len(got), got, ok, len(may[0]), may[0])
		}
	}
	for _, h := range w.open {
		if err := h.check(disk); err != nil {
			return err
		}
	}
	for p := range disk {
		if strings.HasPrefix(p, "ours/") && w.files[p] == nil && !w.dirs[p] && !w.isLoose(p) {
			return fmt.Errorf("the server has %s, which should not be there", p)
		}
	}
	return nil
}

// found looks for every content below both/ that must not be lost.
func (w *world) found() {
	w.t.Helper()
	there := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(w.srv.Root, "both", "*"))
	if err != nil {
		w.fatal("%v", err)
	}
	for _, p := range files {
		data, err := os.ReadFile(p)
		if err != nil {
			w.fatal("%v", err)
		}
		there[string(bytes.Clone(data))] = true
	}
	for data, p := range w.must {
		if !there[data] {
			w.fatal("lost: %d bytes %.40q, written to %s; the server has %q", len(data), data, p, files)
		}
	}
	clear(w.must)
	for _, p := range files { // so that the directory does not grow for ever
		if err := os.Remove(p); err != nil {
			w.fatal("%v", err)
		}
	}
	time.Sleep(1200 * time.Millisecond) // dir_cache_time: the mount must know
}

// adopt makes what is there what is certain.
func (w *world) adopt() {
	disk, err := tree(w.srv.Root)
	if err != nil {
		w.fatal("%v", err)
	}
	clear(w.files)
	clear(w.dirs)
	clear(w.loose)
	w.open = nil
	for p, data := range disk {
		switch {
		case p != "ours" && !strings.HasPrefix(p, "ours/"):
		case data == "/":
			w.dirs[p] = true
		default:
			w.files[p] = []string{data}
		}
	}
}
