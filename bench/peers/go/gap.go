package main

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// What bench/peers/cpp/gap_workloads.hpp has: a ticking goroutine beside one that blocks in place.

func must(err error) {
	if err != nil {
		end(statusWrong, err.Error())
	}
}

func scratchFile(bytes int) *os.File {
	file, err := os.CreateTemp(".", "bench-peer-go")
	must(err)
	must(os.Remove(file.Name()))
	_, err = file.Write(make([]byte, bytes))
	must(err)
	return file
}

func touchColdPages(file *os.File, bytes int) {
	const dontNeed = 4 // POSIX_FADV_DONTNEED
	must(file.Sync())
	_, _, errno := syscall.Syscall6(syscall.SYS_FADVISE64, file.Fd(), 0, 0, dontNeed, 0, 0)
	if errno != 0 {
		must(errno)
	}
	mapped, err := syscall.Mmap(int(file.Fd()), 0, bytes, syscall.PROT_READ, syscall.MAP_SHARED)
	must(err)
	must(syscall.Madvise(mapped, syscall.MADV_RANDOM))
	for at := 0; at < bytes; at += 4096 {
		sink += uint64(mapped[at])
	}
	must(syscall.Munmap(mapped))
}

func findDisturbance(name string, more int) func() {
	span := time.Duration(more) * time.Millisecond
	switch name {
	case "gap_block":
		return func() {
			request := syscall.NsecToTimespec(span.Nanoseconds())
			for syscall.Nanosleep(&request, &request) == syscall.EINTR {
			}
		}
	case "gap_hog":
		return func() {
			for begin := time.Now(); time.Since(begin) < span; {
				sink += spend(1000, 1)
			}
		}
	case "gap_fsync":
		file, bytes := scratchFile(0), make([]byte, 65536)
		return func() {
			_, err := file.WriteAt(bytes, 0)
			must(err)
			must(file.Sync())
		}
	case "gap_fault":
		file := scratchFile(more)
		return func() { touchColdPages(file, more) }
	}
	end(statusNoSuchWorkload, "has no workload "+name)
	return nil
}

func longestGap(times int, disturb func()) repetition {
	var done atomic.Bool
	var both sync.WaitGroup
	longest := time.Duration(0)
	both.Add(2)
	watch := start()
	go func() {
		defer both.Done()
		for last := time.Now(); !done.Load(); {
			time.Sleep(time.Millisecond)
			now := time.Now()
			longest = max(longest, now.Sub(last)-time.Millisecond)
			last = now
		}
	}()
	go func() {
		defer both.Done()
		for turn := 0; turn < times; turn++ {
			time.Sleep(5 * time.Millisecond)
			disturb()
		}
		done.Store(true)
	}()
	both.Wait()
	result := watch.stop(times)
	result.LongestWait = longest.Seconds()
	return result
}
