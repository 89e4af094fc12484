package daemon

import (
	"testing"

	"ftpfs/cache/remote"
	"ftpfs/cmd/internal/option"
	"ftpfs/test/ftpscript"
)

func TestQuotaIsWhatStatfsTells(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		options string
		rule    ftpscript.Rule
		want    remote.Space
	}{
		{"", ftpscript.Rule{}, remote.Space{Total: -1, Free: -1}},
		{"quota=5G", ftpscript.Rule{}, remote.Space{Total: 5 * gib, Free: 5 * gib}},
		{"quota=5G", ftpscript.Rule{Verb: "SITE QUOTA", Instead: "200-Quota [current/limit]:\r\n  Uploaded Mb:\t512.00/1024.00\r\n200 Done."},
			remote.Space{Total: gib, Free: gib / 2}},
	} {
		srv := ftpscript.Start(t, ftpscript.Options{})
		if c.rule.Verb != "" {
			srv.Add(c.rule)
		}
		tree, _ := treeOn(t, srv, func(o *option.Options) {
			if err := o.Parse(c.options); err != nil {
				t.Fatal(err)
			}
		})
		if got, err := tree.Statfs(t.Context()); err != nil || got != c.want {
			t.Errorf("%q, %+v: got %+v, err %v; want %+v", c.options, c.rule, got, err, c.want)
		}
	}
}
