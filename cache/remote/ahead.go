package remote

import (
	"context"
	"sync"
)

// Ahead returns a context for what nobody has asked for yet, but probably will. A Store
// does it last, with what is idle, and lets it wait as long as there is anything else to
// do. hurry says that somebody waits for it now: from then on it is as any other.
func Ahead(ctx context.Context) (ahead context.Context, hurry func()) {
	asked := make(chan struct{})
	return context.WithValue(ctx, aheadKey{}, asked), sync.OnceFunc(func() { close(asked) })
}

type aheadKey struct{}

// Asked is closed once somebody waits for what is done with ctx; nil if it was asked for
// from the beginning.
func Asked(ctx context.Context) <-chan struct{} {
	asked, _ := ctx.Value(aheadKey{}).(chan struct{})
	return asked
}
