package main

import (
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

func sleepInACrowd(goroutines int) repetition {
	late := make([]float64, goroutines)
	var all sync.WaitGroup
	random := uint32(1)
	watch := start()
	all.Add(goroutines)
	for made := range late {
		random = random*1664525 + 1013904223 // as in bench/workloads.hpp
		span := time.Duration((random>>16)%1001) * time.Millisecond
		mine := &late[made]
		go func() {
			defer all.Done()
			begin := time.Now()
			time.Sleep(span)
			*mine = (time.Since(begin) - span).Seconds()
		}()
	}
	all.Wait()
	result := watch.stop(goroutines)
	sort.Float64s(late)
	if late[0] < 0 {
		panic("a sleeper woke early")
	}
	result.LateMedian = late[len(late)/2]
	result.LateWorst = late[len(late)-1]
	return result
}

// All wait for one channel; they are then woken and counted.
func parkMany(goroutines int) repetition {
	gate := make(chan struct{})
	var arrived, left atomic.Int64
	runtime.GC()
	before := residentBytes()
	watch := start()
	for made := 0; made < goroutines; made++ {
		go func() {
			arrived.Add(1)
			<-gate
			left.Add(1)
		}()
	}
	for arrived.Load() < int64(goroutines) {
		runtime.Gosched()
	}
	runtime.Gosched() // the last one may have counted and not yet parked
	result := watch.stop(goroutines)
	result.Bytes = residentBytes() - before
	for woken := 0; woken < goroutines; woken++ {
		gate <- struct{}{}
	}
	for left.Load() < int64(goroutines) {
		runtime.Gosched()
	}
	return result
}
