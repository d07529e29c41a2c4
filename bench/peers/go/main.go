// The peer "go": goroutines, with what the standard library and Effective Go offer for each
// workload. The arguments and the output are those of bench/peers/cpp/program.hpp.
//
//	PROGRAM WORKLOAD WORKERS REPETITIONS COUNT [MORE]
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

const (
	statusWrong          = 1
	statusUsage          = 2
	statusNoSuchWorkload = 3
)

// repetition has the fields of repetition in bench/measure.hpp.
type repetition struct {
	Operations   float64 `json:"operations"`
	WallS        float64 `json:"wall_s"`
	CPUS         float64 `json:"cpu_s"`
	Bytes        float64 `json:"bytes,omitempty"`
	SerialS      float64 `json:"serial_s,omitempty"`
	LongestWait  float64 `json:"longest_wait_s,omitempty"`
	LateMedian   float64 `json:"late_median_s,omitempty"`
	LateWorst    float64 `json:"late_worst_s,omitempty"`
	BeyondMedian float64 `json:"beyond_median_s,omitempty"`
	BeyondP99    float64 `json:"beyond_p99_s,omitempty"`
}

func end(status int, what string) {
	fmt.Fprintln(os.Stderr, what)
	os.Exit(status)
}

func number(name, text string, least int) int {
	value, err := strconv.Atoi(text)
	if err != nil || value < least {
		end(statusUsage, fmt.Sprintf("%s is '%s'; allowed: a number from %d", name, text, least))
	}
	return value
}

func find(name string, count, more int) func() repetition {
	switch name {
	case "yield":
		return func() repetition { return yieldBetweenTwo(count) }
	case "spawn_join":
		return func() repetition { return spawnAndJoin(count) }
	case "bulk_spawn":
		return func() repetition { return spawnAllThenJoin(count) }
	case "handoff_semaphore":
		return func() repetition { return handOver(count) }
	case "handoff_condition":
		return func() repetition { return handOverByCondition(count) }
	case "channel_unbuffered":
		return func() repetition { return throughAChannel(0, count) }
	case "channel_buffered":
		return func() repetition { return throughAChannel(1024, count) }
	case "fib":
		return func() repetition { return fibonacciTree(count) }
	case "skynet":
		return func() repetition { return skynetTree(count) }
	case "queens":
		return func() repetition { return placeQueens(count) }
	case "matrix":
		return func() repetition { return multiplyMatrices(count) }
	case "mixed":
		return func() repetition { return mixed(count) }
	case "sleepers":
		return func() repetition { return sleepInACrowd(count) }
	}
	if strings.HasPrefix(name, "parked_") {
		return func() repetition { return parkMany(count) }
	}
	if strings.HasPrefix(name, "gap_") {
		disturb := findDisturbance(name, more)
		return func() repetition { return longestGap(count, disturb) }
	}
	if strings.HasPrefix(name, "mutex_64_") {
		turns := turnsLasting(more)
		return func() repetition { return lockBy64(count, turns) }
	}
	end(statusNoSuchWorkload, "has no workload "+name)
	return nil
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Println("Go", strings.TrimPrefix(runtime.Version(), "go"))
		return
	}
	if len(os.Args) != 5 && len(os.Args) != 6 {
		end(statusUsage, os.Args[0]+" WORKLOAD WORKERS REPETITIONS COUNT [MORE]")
	}
	runtime.GOMAXPROCS(number("WORKERS", os.Args[2], 1))
	repetitions := number("REPETITIONS", os.Args[3], 1)
	more := 0
	if len(os.Args) == 6 {
		more = number("MORE", os.Args[5], 0)
	}
	if os.Args[1] == "echo" {
		serveEcho()
	}
	if os.Args[1] == "http" {
		serveHTTP()
	}
	once := find(os.Args[1], number("COUNT", os.Args[4], 1), more)
	if !strings.HasPrefix(os.Args[1], "parked_") {
		once() // the warm-up
	}
	for done := 0; done < repetitions; done++ {
		line, err := json.Marshal(once())
		if err != nil {
			end(statusWrong, err.Error())
		}
		fmt.Println(string(line))
	}
}
