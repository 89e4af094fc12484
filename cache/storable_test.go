package cache

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// A name that the server would not keep is refused at once, in whatever way it is made, and
// nothing of it is accepted.
func TestNamesThatTheServerDoesNotKeepAreRefusedAtOnce(t *testing.T) {
	m := mountMem(t, mem.New(mem.Options{Unstorable: func(n string) bool { return strings.HasSuffix(n, " ") }}), nil)
	m.wantKind(m.write("/x ", []byte("1")), remote.BadName)
	m.wantKind(m.mkdir("/d "), remote.BadName)
	m.must(m.write("/x", []byte("1")))
	m.sync()
	m.wantKind(m.rename("/x", "/y "), remote.BadName)
	m.must(m.write("/new", []byte("2")))
	m.wantKind(m.rename("/new", "/new "), remote.BadName)
	m.sync()
	if got := m.onDisk(); strings.Join(got, ",") != "new,x" {
		t.Errorf("on the server: %q", got)
	}
	if st := m.Status(); st.OwedFiles+st.Parked != 0 {
		t.Errorf("something is owed: %+v", st)
	}
}

// Where cases are not told apart, nothing of ours takes the place of what differs by case
// only, whether or not that was known before.
func TestNoFileTakesThePlaceOfOneInAnotherCase(t *testing.T) {
	for _, unsaid := range []bool{false, true} {
		m := mountMem(t, mem.New(mem.Options{FoldsCase: true, Unsaid: unsaid}), nil)
		disk := m.store.Disk()
		m.must(disk.WriteFile("/README", []byte("theirs")))
		m.must(disk.Mkdir("/Dir"))
		m.wantKind(m.mkdir("/DIR"), remote.Exist)
		m.must(m.write("/other", []byte("other")))
		m.sync()
		m.wantKind(m.rename("/other", "/Readme"), remote.Exist)
		m.must(m.rename("/other", "/Other"))
		m.must(m.write("/local", []byte("local")))
		m.wantKind(m.write("/readme", []byte("ours")), remote.Exist) // noticed by the rename at the latest
		m.wantKind(m.rename("/local", "/readme"), remote.Exist)
		m.sync()
		if b, err := disk.ReadFile("/README"); err != nil || string(b) != "theirs" {
			t.Errorf("README has %q, %v", b, err)
		}
		if got := m.onDisk(); strings.Join(got, ",") != "Dir/,Other,README,local" {
			t.Errorf("on the server: %q", got)
		}
	}
}

// What was accepted before anybody knew is kept beside.
func TestAFileInAnotherCaseThatNobodyKnewOfIsKeptBeside(t *testing.T) {
	m := mountMem(t, mem.New(mem.Options{FoldsCase: true, Unsaid: true}), nil)
	disk := m.store.Disk()
	m.must(disk.WriteFile("/README", []byte("theirs")))
	m.names("/")
	m.must(m.write("/readme", []byte("ours")))
	m.sync()
	if b, err := disk.ReadFile("/README"); err != nil || string(b) != "theirs" {
		t.Errorf("README has %q, %v", b, err)
	}
	if got := m.onDisk(); len(got) != 2 || got[0] != "README" || !strings.HasPrefix(got[1], "readme.conflict-") {
		t.Errorf("on the server: %q", got)
	}
}

// What the server finds by a name in another case is not there under it, also where nobody
// knew yet that it does not tell cases apart.
func TestOnlyListedNamesAreThere(t *testing.T) {
	for _, unsaid := range []bool{false, true} {
		m := mountMem(t, mem.New(mem.Options{FoldsCase: true, Unsaid: unsaid}), nil)
		m.must(m.store.Disk().WriteFile("/README", []byte("theirs")))
		if _, err := m.walk("/readme"); !remote.Is(err, remote.NotExist) {
			t.Errorf("lookup of another case: %v", err)
		}
		m.wantKind(m.write("/readme", []byte("ours")), remote.Exist)
		n, err := m.walk("/README")
		if err != nil {
			t.Fatalf("lookup: %v", err)
		}
		m.Forget(n)
	}
}

// onDisk are the server's paths.
func (m *mount) onDisk() []string {
	var out []string
	for _, p := range m.store.Disk().Paths() {
		out = append(out, strings.TrimPrefix(p, "/"))
	}
	slices.Sort(out)
	return out
}

// What a look at names has left on the server, when its connection was lost, goes.
func TestScratchDirectoriesAreSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mountMem(t, mem.New(mem.Options{}), nil)
		disk := m.store.Disk()
		scratch := "/.ftpfs-" + m.tag + "u0123abcd"
		m.must(disk.Mkdir(scratch))
		m.must(disk.Mkdir(scratch + "/x_"))
		if got := m.names("/"); len(got) != 0 {
			t.Errorf("listed are %q", got)
		}
		synctest.Wait()
		if got := m.onDisk(); len(got) != 2 {
			t.Errorf("it was removed while it may be in use: %q is left", got)
		}
		time.Sleep(scratchTime + time.Second)
		synctest.Wait()
		if got := m.onDisk(); len(got) != 0 {
			t.Errorf("left are %q", got)
		}
		m.must(m.mkdir("/d"))
		m.must(disk.Mkdir("/d" + scratch))
		m.must(disk.Mkdir("/d" + scratch + "/x_"))
		m.must(m.rmdir("/d"))
		m.stop()
	})
}
