// The rows mutex_64_* in Go: 64 goroutines lock one sync.Mutex, count, spend the time, unlock.
//
//	taskset -c 1 go run bench/go/mutex_64.go -workers 1 -inside 100
//
// Not part of treadle-bench, which builds with a C++ compiler only. Prints millions of locks a
// second (CPU time with one worker, else time on the wall) and, of a second run with a look at the
// clock round each lock, the longest that a goroutine has waited for its turn.
package main

import (
	"flag"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const threads = 64

var sink uint64

//go:noinline
func spend(turns int, value uint64) uint64 {
	for turn := 0; turn < turns; turn++ {
		value = value*value + 3
	}
	return value
}

func turnsLasting(nanoseconds int) int {
	if nanoseconds == 0 {
		return 0
	}
	const turns = 1_000_000
	best := time.Hour
	for i := 0; i < 10; i++ {
		start := time.Now()
		sink += spend(turns, 1)
		best = min(best, time.Since(start))
	}
	return int(float64(nanoseconds) * turns / float64(best.Nanoseconds()))
}

func cpu() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func run(each, turns, workers int, timed bool) (rate float64, longest time.Duration) {
	var lock sync.Mutex
	var all sync.WaitGroup
	counted, spent := 0, uint64(1) // guarded by lock
	wall, used := time.Now(), cpu()
	for i := 0; i < threads; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for turn := 0; turn < each; turn++ {
				if timed {
					before := time.Now()
					lock.Lock()
					longest = max(longest, time.Since(before))
				} else {
					lock.Lock()
				}
				counted++
				if turns != 0 {
					spent = spend(turns, spent)
				}
				lock.Unlock()
			}
		}()
	}
	all.Wait()
	taken := time.Since(wall)
	if workers == 1 {
		taken = cpu() - used
	}
	if counted != threads*each {
		panic("the mutex did not exclude")
	}
	return float64(counted) / taken.Seconds() / 1e6, longest
}

func main() {
	workers := flag.Int("workers", 1, "GOMAXPROCS")
	inside := flag.Int("inside", 0, "nanoseconds with the lock held")
	each := flag.Int("each", 10_000, "locks of each goroutine")
	flag.Parse()
	runtime.GOMAXPROCS(*workers)
	turns := turnsLasting(*inside)
	run(*each, turns, *workers, false)
	best, worst := 0.0, time.Duration(0)
	for i := 0; i < 5; i++ {
		rate, _ := run(*each, turns, *workers, false)
		_, longest := run(*each, turns, *workers, true)
		best, worst = max(best, rate), max(worst, longest)
	}
	fmt.Printf("workers %d, %d ns inside: %.2f Mop/s at best, longest wait %.3f ms\n",
		*workers, *inside, best, float64(worst.Microseconds())/1e3)
}
