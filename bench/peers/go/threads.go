package main

import (
	"runtime"
	"sync"
	"time"
)

func yieldBetweenTwo(yields int) repetition {
	var both sync.WaitGroup
	body := func() {
		defer both.Done()
		for turn := 0; turn < yields; turn++ {
			runtime.Gosched()
		}
	}
	watch := start()
	both.Add(2)
	go body()
	go body()
	both.Wait()
	return watch.stop(2 * yields)
}

func spawnAndJoin(goroutines int) repetition {
	var one sync.WaitGroup
	watch := start()
	for made := 0; made < goroutines; made++ {
		one.Add(1)
		go one.Done()
		one.Wait()
	}
	return watch.stop(goroutines)
}

func spawnAllThenJoin(goroutines int) repetition {
	var all sync.WaitGroup
	watch := start()
	all.Add(goroutines)
	for made := 0; made < goroutines; made++ {
		go all.Done()
	}
	all.Wait()
	return watch.stop(goroutines)
}

// A channel of one place is Go's semaphore (Effective Go, "Channels").
func handOver(rounds int) repetition {
	there, back := make(chan struct{}, 1), make(chan struct{}, 1)
	var both sync.WaitGroup
	both.Add(2)
	watch := start()
	go func() {
		defer both.Done()
		for round := 0; round < rounds; round++ {
			there <- struct{}{}
			<-back
		}
	}()
	go func() {
		defer both.Done()
		for round := 0; round < rounds; round++ {
			<-there
			back <- struct{}{}
		}
	}()
	both.Wait()
	return watch.stop(2 * rounds)
}

func handOverByCondition(rounds int) repetition {
	var lock sync.Mutex
	changed := sync.NewCond(&lock)
	turn := 0
	var both sync.WaitGroup
	body := func(who int) {
		defer both.Done()
		for round := 0; round < rounds; round++ {
			lock.Lock()
			for turn != who {
				changed.Wait()
			}
			turn = 1 - who
			lock.Unlock()
			changed.Signal()
		}
	}
	both.Add(2)
	watch := start()
	go body(0)
	go body(1)
	both.Wait()
	return watch.stop(2 * rounds)
}

func throughAChannel(capacity, values int) repetition {
	channel := make(chan int, capacity)
	sum := 0
	var both sync.WaitGroup
	both.Add(2)
	watch := start()
	go func() {
		defer both.Done()
		for value := 1; value <= values; value++ {
			channel <- value
		}
		close(channel)
	}()
	go func() {
		defer both.Done()
		for value := range channel {
			sum += value
		}
	}()
	both.Wait()
	result := watch.stop(values)
	if sum != values*(values+1)/2 {
		panic("a value was lost")
	}
	return result
}

func lockBy64In(each, turns int, timed bool) repetition {
	const goroutines = 64
	var lock sync.Mutex
	var all sync.WaitGroup
	counted := 0                // guarded by lock
	spent := uint64(1)          // guarded by lock
	longest := time.Duration(0) // guarded by lock
	watch := start()
	all.Add(goroutines)
	for made := 0; made < goroutines; made++ {
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
	result := watch.stop(goroutines * each)
	if counted != goroutines*each {
		panic("the mutex did not exclude: the count is wrong")
	}
	result.LongestWait = longest.Seconds()
	return result
}

// And once more with a look at the clock round each lock, which is not timed.
func lockBy64(each, turns int) repetition {
	result := lockBy64In(each, turns, false)
	result.LongestWait = lockBy64In(each, turns, true).LongestWait
	return result
}
