package mounted

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
	"ftpfs/test/proxy"
)

// However a proxy is named, the mount goes through it, to a server whose name only the
// proxy knows; its password shows neither in argv, nor in the mount table, the log, or the
// status.
func TestThroughAProxy(t *testing.T) {
	const secret = "verborgen"
	names := map[string]string{"ftp.example.org": "127.0.0.1"}
	srv := ftpscript.Start(t, ftpscript.Options{})
	srv.Tree.Put("/d/f", []byte("hello"))
	url := strings.Replace(srv.URL("d"), srv.Host, "ftp.example.org", 1)
	dir := mount.TempDir(t)
	file := filepath.Join(dir, "credentials")
	must(t, os.WriteFile(file, []byte("username="+ftpscript.User+"\npassword="+ftpscript.Password+"\nproxy_username=me\nproxy_password="+secret+"\n"), 0o600))
	point := mkdir(t, filepath.Join(dir, "mnt"))
	t.Cleanup(func() { mount.Detach(point) })
	for name, c := range map[string]struct {
		kind   proxy.Kind
		option string // ADDR and URL are the proxy's
		env    string
	}{
		"socks5 by URL":         {proxy.SOCKS5, "proxy=URL", ""},
		"http by URL":           {proxy.HTTP, "proxy=URL", ""},
		"as curlftpfs has it":   {proxy.SOCKS5, "socks5,proxy=ADDR,proxy_user=me:" + secret, ""},
		"as rclone has it":      {proxy.SOCKS5, "socks_proxy=me:" + secret + "@ADDR", ""},
		"with credentials=FILE": {proxy.HTTP, "proxy=ADDR,credentials=" + file, ""},
		"from the environment":  {proxy.SOCKS5, "", "ALL_PROXY=URL"},
	} {
		t.Run(name, func(t *testing.T) {
			p := proxy.Start(t, c.kind, proxy.Options{User: "me", Password: secret, Names: names})
			fill := strings.NewReplacer("URL", p.URL(), "ADDR", p.Addr)
			options := fill.Replace(strings.Trim("log_level=debug,trace_ftp,cache_dir="+dir+"/cache,"+c.option, ","))
			cmd := mount.Command{Env: []string{"FTPFS_PASSWORD=" + ftpscript.Password, fill.Replace(c.env)}}
			if c.env == "" {
				cmd.Env = cmd.Env[:1]
			}
			r := cmd.Do(t, program(t), "-o", options, url, point)
			if r.Code != 0 {
				t.Fatalf("mount: %+v", r)
			}
			defer mount.Detach(point)
			holds(t, filepath.Join(point, "f"), []byte("hello"))
			put(t, filepath.Join(point, "new"), []byte(name))
			var report struct {
				Mounts []struct {
					PID int    `json:"pid"`
					Log string `json:"log"`
				} `json:"mounts"`
			}
			must(t, json.Unmarshal([]byte(mount.Run(t, "/", program(t), "status", "--json", point)), &report))
			st := report.Mounts[0]
			argv := mount.CommandLine(st.PID)
			if len(p.Asked()) < 2 {
				t.Errorf("the proxy was asked for %q", p.Asked())
			}
			said := mount.Run(t, "/", program(t), "status", point)
			if !strings.Contains(said, "through "+string(c.kind)+"://"+p.Addr) {
				t.Errorf("ftpfs status says:\n%s", said)
			}
			mount.Run(t, "/", program(t), "unmount", point)
			examined := cmd.Do(t, program(t), "doctor", "--read-only", "-o", options+",max_conns=1", url)
			if examined.Code != 0 {
				t.Errorf("doctor: %+v", examined)
			}
			if !regexp.MustCompile(`(?m)^.* ftpfs noauto,.*proxy=.*` + regexp.QuoteMeta(p.Addr)).MatchString(examined.Out) {
				t.Errorf("no proxy in the line for fstab that doctor has:\n%s", examined.Out)
			}
			for what, text := range map[string]string{
				"argv": argv, "mounts": string(get(t, "/proc/mounts")), "status": said,
				"answer": r.Out + r.Err, "doctor": examined.Out + examined.Err, "log": string(get(t, st.Log)),
			} {
				if strings.Contains(text, secret) {
					t.Errorf("%s shows the proxy's password:\n%s", what, text)
				}
			}
			if got, _ := srv.Tree.Get("/d/new"); string(got) != name {
				t.Errorf("on the server: %q", got)
			}
		})
	}
}

// A proxy that cannot be used, or does not go with another option, is one line.
func TestAProxyThatCannotBeUsedIsOneLine(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	p := proxy.Start(t, proxy.HTTP, proxy.Options{User: "me", Password: "verborgen"})
	dir := mount.TempDir(t)
	point := mkdir(t, filepath.Join(dir, "mnt"))
	for _, c := range []struct {
		options, env string
		code         int
		want         string
	}{
		{"proxy=http://me:falsch@" + p.Addr, "", 32, "407 Proxy Authentication Required"},
		{"proxy=socks5://127.0.0.1:1", "", 32, "proxy socks5://127.0.0.1:1: connection refused"},
		{"proxy=" + p.URL() + ",active", "", 1, "leave one of them away"},
		{"active", "all_proxy=socks5://me:falsch@127.0.0.1:1", 1, "proxy=none"},
		{"proxy=socks5://me@127.0.0.1:1", "", 1, "without a password"},
		{"socks5", "", 1, "proxy=HOST:PORT"},
		{"httpproxy,proxy=socks5://me:falsch@127.0.0.1:1", "", 1, "another kind"},
		{"proxy=socks4://me:falsch@127.0.0.1:1", "", 1, "socks5://"},
		{"", "ALL_PROXY=https://me:falsch@127.0.0.1:1", 1, "$ALL_PROXY"},
	} {
		cmd := mount.Command{Env: []string{"FTPFS_PASSWORD=" + ftpscript.Password}}
		url := srv.URL("")
		if c.env != "" {
			cmd.Env, url = append(cmd.Env, c.env), strings.Replace(url, srv.Host, "ftp.example.org", 1)
		}
		r := cmd.Do(t, program(t), "-o", strings.Trim("cache_dir="+dir+"/cache,"+c.options, ","), url, point)
		lines := strings.Split(strings.TrimSpace(r.Err), "\n")
		if last := lines[len(lines)-1]; r.Code != c.code || !strings.Contains(last, c.want) || len(lines) > 2 {
			t.Errorf("-o %s %s: code %d, %q; want %d, %q", c.options, c.env, r.Code, r.Err, c.code, c.want)
		}
		if strings.Contains(r.Err, "falsch") || strings.Contains(r.Err, "verborgen") {
			t.Errorf("-o %s %s: the password shows: %s", c.options, c.env, r.Err)
		}
	}
}
