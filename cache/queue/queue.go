// Package queue runs jobs at a time to come, a few at once, and each at most once at
// the same time. It knows nothing of what the jobs do: the owner decides when one
// is due again. Its one lock is never held while a job runs.
package queue

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"ftpfs/lastwords"
)

// Queue of jobs, each known by its key. All methods may be called concurrently, also
// by a job.
type Queue[K comparable] struct {
	run     func(context.Context, K) // immutable
	workers func() int               // immutable: how many may run now
	ctx     context.Context
	cancel  context.CancelFunc
	poke    chan struct{}
	wg      sync.WaitGroup

	mu      sync.Mutex // guards what follows
	hold    func(late time.Duration) time.Duration
	light   func(K) bool
	lights  func() int
	jobs    map[K]*job[K]
	due     byTime[K]
	running int
	order   uint64
}

type job[K comparable] struct {
	key     K
	at      time.Time
	order   uint64 // first come, first served among equals
	index   int    // in the heap; -1 when not in it
	running bool
	again   bool // scheduled while it ran
}

// New starts a queue. run is called in its own goroutine for every job that is due;
// at most workers() at once.
func New[K comparable](workers func() int, run func(context.Context, K)) *Queue[K] {
	ctx, cancel := context.WithCancel(context.Background())
	q := &Queue[K]{run: run, workers: workers, ctx: ctx, cancel: cancel, poke: make(chan struct{}, 1), jobs: map[K]*job[K]{}}
	q.wg.Add(1)
	go q.loop()
	return q
}

// HoldBack sets whom to ask, before a job is started that has been due for a time (late),
// for how long it is to wait on; not at all is 0. It is asked again then at the latest, and
// must neither wait nor call the queue.
func (q *Queue[K]) HoldBack(hold func(late time.Duration) time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.hold = hold
}

// Lighten sets which jobs are light, and how many may run at once when the next is one, if that is more.
// light must neither wait nor call the queue.
func (q *Queue[K]) Lighten(light func(K) bool, workers func() int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.light, q.lights = light, workers
}

// Schedule makes key due at at, instead of at whatever time it was. A job that is
// running will run again.
func (q *Queue[K]) Schedule(key K, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ctx.Err() != nil {
		return
	}
	j := q.jobs[key]
	if j == nil {
		j = &job[K]{key: key, index: -1}
		q.jobs[key] = j
	}
	q.order++
	j.at, j.order = at, q.order
	switch {
	case j.running:
		j.again = true
	case j.index >= 0:
		heap.Fix(&q.due, j.index)
	default:
		heap.Push(&q.due, j)
	}
	q.wake()
}

// Cancel forgets key. A run under way goes on, but is not followed by another.
func (q *Queue[K]) Cancel(key K) {
	q.mu.Lock()
	defer q.mu.Unlock()
	j := q.jobs[key]
	if j == nil {
		return
	}
	j.again = false
	if j.index >= 0 {
		heap.Remove(&q.due, j.index)
	}
	if !j.running {
		delete(q.jobs, key)
	}
}

// Kick makes everything that waits due now.
func (q *Queue[K]) Kick() {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for _, j := range q.jobs {
		if j.at.After(now) {
			j.at = now
		}
	}
	heap.Init(&q.due)
	q.wake()
}

// Close cancels the jobs under way, waits for them, and runs no others.
func (q *Queue[K]) Close() {
	q.cancel()
	q.wg.Wait()
}

func (q *Queue[K]) wake() {
	select {
	case q.poke <- struct{}{}:
	default:
	}
}

func (q *Queue[K]) loop() {
	defer q.wg.Done()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(q.startDue())
		select {
		case <-q.ctx.Done():
			return
		case <-q.poke:
		case <-timer.C:
		}
	}
}

// startDue starts what is due and returns the time until the next job is.
func (q *Queue[K]) startDue() time.Duration {
	workers := q.workers()
	q.mu.Lock()
	many := q.lights
	q.mu.Unlock()
	lights := workers
	if many != nil {
		lights = max(lights, many())
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.due) > 0 {
		j := q.due[0]
		most := workers
		if q.light != nil && q.light(j.key) {
			most = lights
		}
		if q.running >= most {
			break
		}
		wait := time.Until(j.at)
		if wait <= 0 && q.hold != nil {
			wait = q.hold(-wait)
		}
		if wait > 0 {
			return wait
		}
		heap.Pop(&q.due)
		j.running = true
		q.running++
		q.wg.Add(1)
		go q.work(j)
	}
	return time.Hour
}

func (q *Queue[K]) work(j *job[K]) {
	defer lastwords.OnPanic()
	defer q.wg.Done()
	q.run(q.ctx, j.key)
	q.mu.Lock()
	defer q.mu.Unlock()
	j.running = false
	q.running--
	if j.again {
		j.again = false
		heap.Push(&q.due, j)
	} else {
		delete(q.jobs, j.key)
	}
	q.wake()
}

// byTime is a heap of jobs, the one due first on top.
type byTime[K comparable] []*job[K]

func (h byTime[K]) Len() int { return len(h) }
func (h byTime[K]) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].order < h[j].order
	}
	return h[i].at.Before(h[j].at)
}
func (h byTime[K]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *byTime[K]) Push(x any) {
	j := x.(*job[K])
	j.index = len(*h)
	*h = append(*h, j)
}
func (h *byTime[K]) Pop() any {
	old := *h
	j := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	j.index = -1
	return j
}
