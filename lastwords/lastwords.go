// Package lastwords lets a program that is about to end of a panic say what to do. The
// runtime prints a stack, and only for who reads Go. It knows nothing of what is said.
//
// A goroutine has to defer OnPanic for that. Where it is not deferred, and when the runtime
// itself gives up (a map written by two, no memory), there is the stack and nothing else.
package lastwords

import (
	"sync/atomic"
	"time"
)

// most is how long the words may take: the goroutine may hold what they need.
const most = 500 * time.Millisecond

var say atomic.Pointer[func(v any)]

// Set sets what is called with the value of a panic. It is called once, on a goroutine of
// its own, and must not need any lock that could be held for long. nil says nothing.
func Set(f func(v any)) {
	if f == nil {
		say.Store(nil)
		return
	}
	say.Store(&f)
}

// OnPanic is to be deferred: outermost, where the goroutine begins. When that panics it has
// the words said, and goes on with the panic, anew: the stack is still below, and the runtime
// prints it as ever. No lock that a deferred function frees is held by then.
func OnPanic() {
	if v := recover(); v != nil {
		Say(v)
		panic(v)
	}
}

// Say has the words said, for who has recovered a panic and is about to panic again.
func Say(v any) {
	f := say.Swap(nil)
	if f == nil {
		return
	}
	said := make(chan struct{})
	go func() {
		defer close(said)
		(*f)(v)
	}()
	select {
	case <-said:
	case <-time.After(most):
	}
}
