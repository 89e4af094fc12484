package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"ftpfs/cache"
)

// progress shows how far a waiting is: a bar on a terminal, a line now and then
// elsewhere.
type progress struct {
	out  io.Writer
	bar  *progressbar.ProgressBar // nil: lines
	last time.Time                // of the last line
	said cache.Progress
}

// lineEvery bounds how often a line is written where there is no terminal.
const lineEvery = 5 * time.Second

func newProgress(out io.Writer) *progress {
	p := &progress{out: out, last: time.Now()}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions64(1,
			progressbar.OptionSetWriter(out),
			progressbar.OptionShowBytes(true),
			progressbar.OptionUseIECUnits(true),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionFullWidth(),
			progressbar.OptionSetRenderBlankState(false),
		)
	}
	return p
}

// update takes a line of the daemon's.
func (p *progress) update(raw json.RawMessage) {
	var s cache.Progress
	if json.Unmarshal(raw, &s) != nil {
		return
	}
	text := fmt.Sprintf("%d of %s", s.FilesDone, count(s.Files, "file"))
	if !s.Online {
		text += ", server down"
	}
	if p.bar != nil {
		if s.Files == 0 {
			return
		}
		p.bar.Describe(text)
		// Empty files move nothing: let each count for a byte. The bar must not
		// reach its end before the end.
		p.bar.ChangeMax64(s.Bytes + int64(s.Files) + 1)
		_ = p.bar.Set64(min(s.BytesDone+int64(s.FilesDone), s.Bytes+int64(s.Files)))
		return
	}
	if s.Files == 0 || time.Since(p.last) < lineEvery || s == p.said {
		return
	}
	p.last, p.said = time.Now(), s
	fmt.Fprintf(p.out, "%s, %s of %s\n", text, size(s.BytesDone), size(s.Bytes))
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
