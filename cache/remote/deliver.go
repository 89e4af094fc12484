package remote

import (
	"context"
	"io"
)

// Short is how long a file may be of which the dialogue costs more than the bytes.
const Short = 32 << 10

// A Deliverer is a Store that can upload a short file and publish it in fewer round trips than by Write
// and Publish: what Publish asks goes with the upload.
type Deliverer interface {
	Store

	// Deliver is Write of all of r, which is Foreseen.Size bytes, to the temporary name tmp, and then Publish
	// where the Store can go on at once and Ready agrees. agreed says that Ready did: out and err are as of
	// Publish then. Otherwise they are as of Write, and nothing was published.
	Deliver(ctx context.Context, tmp string, r io.Reader, d Delivery) (out Published, agreed bool, err error)
}

// Delivery says what an upload will probably become.
type Delivery struct {
	// Foreseen is what Publish would be told if nothing changes meanwhile. Of its Sum only the algorithm counts.
	Foreseen Publish
	// Ready is called once at most, when the server has all of it, and before anything is renamed.
	// It returns what is to be published, and the context that this ends with, or not ok. It must wait for nothing that
	// may wait for the server: it has a connection for itself.
	Ready func() (ctx context.Context, p Publish, ok bool)
}

// Foresaw says that what was asked about is enough to publish p.
func (f *Publish) Foresaw(p *Publish) bool {
	return f.Path == p.Path && f.Size == p.Size && f.Kept == p.Kept && f.Unlisted == p.Unlisted && !p.Force &&
		(f.Expect == nil) == (p.Expect == nil) && (f.MTime == nil) == (p.MTime == nil) && (f.Mode == nil) == (p.Mode == nil) &&
		(p.MTime == nil || f.MTime.Equal(*p.MTime)) && (p.Mode == nil || *f.Mode == *p.Mode) &&
		(p.Sum == nil || f.Sum != nil && f.Sum.Algorithm == p.Sum.Algorithm)
}
