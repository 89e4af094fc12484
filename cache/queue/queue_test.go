package queue

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func one() int { return 1 }

func TestRunsInOrderOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []string
		q := New(one, func(_ context.Context, k string) { mu.Lock(); got = append(got, k); mu.Unlock() })
		defer q.Close()
		now := time.Now()
		q.Schedule("late", now.Add(2*time.Second))
		q.Schedule("early", now.Add(time.Second))
		q.Schedule("moved", now)
		q.Schedule("moved", now.Add(3*time.Second))
		q.Schedule("gone", now.Add(time.Second))
		q.Cancel("gone")
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if want := []string{"early", "late", "moved"}; len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
			t.Errorf("ran %q, want %q", got, want)
		}
	})
}

func TestScheduledWhileRunningRunsAgainAndNeverTwiceAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		runs, at, most := 0, 0, 0
		var q *Queue[int]
		q = New(func() int { return 4 }, func(context.Context, int) {
			mu.Lock()
			runs++
			at++
			most = max(most, at)
			first := runs == 1
			mu.Unlock()
			if first {
				q.Schedule(7, time.Now())
				time.Sleep(time.Second)
			}
			mu.Lock()
			at--
			mu.Unlock()
		})
		defer q.Close()
		q.Schedule(7, time.Now())
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if runs != 2 || most != 1 {
			t.Errorf("runs %d (want 2), at once %d (want 1)", runs, most)
		}
	})
}

func TestKickMakesAllDueAndWorkersBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		at, most, runs := 0, 0, 0
		q := New(func() int { return 3 }, func(context.Context, int) {
			mu.Lock()
			at++
			runs++
			most = max(most, at)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			at--
			mu.Unlock()
		})
		defer q.Close()
		for i := range 9 {
			q.Schedule(i, time.Now().Add(time.Hour))
		}
		q.Kick()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if runs != 9 || most != 3 {
			t.Errorf("runs %d (want 9), at once %d (want 3)", runs, most)
		}
	})
}

func TestCloseCancelsAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		q := New(one, func(ctx context.Context, _ int) { <-ctx.Done(); ended = true })
		q.Schedule(1, time.Now())
		synctest.Wait()
		q.Close()
		if !ended {
			t.Error("Close returned before the job had ended")
		}
		q.Schedule(2, time.Now()) // must not run, nor panic
	})
}

func TestHeldBackUntilToldOtherwise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var mu sync.Mutex
		var ran, asked []time.Duration
		q := New(one, func(context.Context, int) { mu.Lock(); ran = append(ran, time.Since(began)); mu.Unlock() })
		defer q.Close()
		q.HoldBack(func(late time.Duration) time.Duration {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, late)
			return min(2*time.Second, 3*time.Second-late)
		})
		q.Schedule(1, began.Add(time.Second))
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(ran) != 1 || ran[0] != 4*time.Second {
			t.Errorf("ran after %v, want once after 4s", ran)
		}
		if len(asked) != 3 || asked[0] != 0 || asked[1] != 2*time.Second || asked[2] != 3*time.Second {
			t.Errorf("asked at %v of lateness, want 0s, 2s and 3s", asked)
		}
	})
}

// More jobs run at once if the next one is light, and one that is not waits until there are few.
func TestMoreOfWhatIsLight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var began []int
		end := make(chan struct{})
		q := New(func() int { return 2 }, func(_ context.Context, k int) {
			mu.Lock()
			began = append(began, k)
			mu.Unlock()
			<-end
		})
		defer q.Close()
		q.Lighten(func(k int) bool { return k < 10 }, func() int { return 4 })
		running := func(want ...int) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			slices.Sort(began)
			if !slices.Equal(began, want) {
				t.Errorf("began %d, want %d", began, want)
			}
		}
		now := time.Now()
		for i, k := range []int{10, 1, 2, 3, 4, 11, 5} {
			q.Schedule(k, now.Add(time.Duration(i)*time.Millisecond))
		}
		time.Sleep(time.Second)
		running(1, 2, 3, 10)
		end <- struct{}{} // any of them
		running(1, 2, 3, 4, 10)
		end <- struct{}{}
		end <- struct{}{}
		running(1, 2, 3, 4, 10) // 11 needs one place of two
		end <- struct{}{}
		running(1, 2, 3, 4, 5, 10, 11)
		close(end)
	})
}
