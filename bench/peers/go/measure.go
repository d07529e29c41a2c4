package main

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"time"

	"syscall"
	"unsafe"
)

const clockProcessCPU = 2 // CLOCK_PROCESS_CPUTIME_ID: every kernel thread of the process

func cpuSeconds() float64 {
	var now syscall.Timespec
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockProcessCPU,
		uintptr(unsafe.Pointer(&now)), 0)
	if errno != 0 {
		panic(errno)
	}
	return float64(now.Sec) + float64(now.Nsec)*1e-9
}

type stopwatch struct {
	wall time.Time
	cpu  float64
}

func start() stopwatch { return stopwatch{time.Now(), cpuSeconds()} }

func (w stopwatch) stop(operations int) repetition {
	cpu := cpuSeconds() - w.cpu
	return repetition{Operations: float64(operations), WallS: time.Since(w.wall).Seconds(), CPUS: cpu}
}

var sink uint64

// spend is a chain of dependent multiplications, as in bench/measure.hpp: no constant that the
// compiler makes into something shorter, which a neighbour on the core would slow down, or not.
// It gives what becomes of the value.
//
//go:noinline
func spend(turns int, value uint64) uint64 {
	for turn := 0; turn < turns; turn++ {
		value = value*0x5DEECE66D + 11
	}
	return value
}

func turnsLasting(nanoseconds int) int {
	if nanoseconds == 0 {
		return 0
	}
	const turns = 200_000
	best := time.Hour
	for i := 0; i < 20; i++ {
		begin := time.Now()
		sink += spend(turns, 1)
		best = min(best, time.Since(begin))
	}
	return int(float64(nanoseconds)*turns/float64(best.Nanoseconds()) + 0.5)
}

// residentBytes is VmRSS + VmPTE of this process.
func residentBytes() float64 {
	file, err := os.Open("/proc/self/status")
	if err != nil {
		panic(err)
	}
	defer file.Close()
	total := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if words[0] == "VmRSS:" || words[0] == "VmPTE:" {
			kibibytes, err := strconv.Atoi(words[1])
			if err != nil {
				panic(err)
			}
			total += kibibytes
		}
	}
	return float64(total) * 1024
}
