package doctor

import (
	"context"
	"errors"
	"fmt"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// directory enters what is to be mounted.
func (r *run) directory(ctx context.Context) (Finding, error) {
	err := r.d.Enter(ctx)
	base := escape(r.d.Path("/"))
	r.rep.Facts.Directory = base
	if err == nil {
		return Finding{Level: OK, Text: base}, nil
	}
	if wire.FaultOf(err) != nil {
		return Finding{}, err
	}
	f := Finding{Level: Problem, Text: base + " cannot be entered", Sent: plain("CWD " + r.d.Path("/")), Came: plain(cause(err)),
		Try: "is the path in the URL right? /path is below the login directory, //path is absolute"}
	var e *remote.Error
	if errors.As(err, &e) {
		f.Came = plain(fmt.Sprintf("%d %s", e.Code, e.Text))
	}
	switch {
	case remote.Is(err, remote.NotExist):
		f.Text = base + " is not there"
	case remote.Is(err, remote.NotDir):
		f.Text = base + " is not a directory"
	}
	r.halt("the directory cannot be entered")
	return f, nil
}

// writing makes the scratch directory.
func (r *run) writing(ctx context.Context) (Finding, error) {
	f := Finding{Level: OK, Text: "not written to (read-only)"}
	var err error
	switch {
	case r.halted != "":
		for _, old := range r.rep.Findings {
			if old.ID == "directory" {
				return old, nil
			}
		}
	case r.cfg.ReadOnly:
	case r.scratch != "": // this is the second try, and the first had no answer
		f.Text = "can be written"
		there, err := present(ctx, r.d, r.scratch)
		if err != nil {
			return f, err
		}
		if there {
			r.maybe = false
			break
		}
		r.scratch = ""
		fallthrough
	default:
		if f, err = r.makeScratch(ctx); err != nil {
			return f, err
		}
		r.rep.Facts.Writable = yes(r.scratch != "")
	}
	f.Text = r.rep.Facts.Directory + ", " + f.Text
	for _, e := range r.root {
		if Scratch(e.Name) && "/"+e.Name != r.scratch {
			f.Level = f.Level.atLeast(Note)
			f.More = append(f.More, e.Name+" was left behind by an earlier run: ftpfs doctor --remove "+e.Name)
		}
	}
	return f, nil
}
