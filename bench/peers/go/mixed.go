package main

import (
	"encoding/binary"
	"os"
	"sort"
	"sync"
	"time"
)

// The requests of bench/peers/cpp/mixed.hpp.
const (
	fanOut       = 32
	inFlightMost = 128
	blockBytes   = 4096
	blocks       = 64
	entries      = 256
	steps        = 128
)

type key uint32

func keyOf(request, child int) key {
	bits := uint32(request*fanOut+child) * 2654435761
	return key(bits ^ bits>>16)
}

func (k key) block() int           { return int(k>>8) % blocks }
func (k key) timer() time.Duration { return time.Duration(100+(k>>8)%1901) * time.Microsecond }

// table is guarded by the lock that the children share.
type table struct {
	next [entries]uint32
	seen [entries]uint64
}

func newTable() *table {
	made := &table{}
	for i := range made.next {
		made.next[i] = uint32(5*i+1) % entries
	}
	return made
}

func (t *table) endOf(from key) int {
	at := uint32(from) % entries
	for step := 0; step < steps; step++ {
		at = t.next[at]
	}
	return int(at)
}

func (t *table) look(from key) int {
	at := t.endOf(from)
	t.seen[at]++
	return at
}

// A block is its number, again and again.
func blockFile() *os.File {
	file := scratchFile(blocks * blockBytes)
	block := make([]byte, blockBytes)
	for number := 0; number < blocks; number++ {
		for at := 0; at < blockBytes; at += 8 {
			binary.LittleEndian.PutUint64(block[at:], uint64(number))
		}
		_, err := file.WriteAt(block, int64(number*blockBytes))
		must(err)
	}
	return file
}

type mixedRun struct {
	lock    sync.Mutex
	table   *table // guarded by lock
	file    *os.File
	buffers sync.Pool
	ends    [entries]int
	beyond  []time.Duration
}

func newMixedRun(requests int) *mixedRun {
	made := &mixedRun{table: newTable(), file: blockFile(), beyond: make([]time.Duration, requests)}
	made.buffers.New = func() any { return new([blockBytes]byte) }
	for entry := range made.ends {
		made.ends[entry] = made.table.endOf(key(entry))
	}
	return made
}

func (m *mixedRun) read(which key) int {
	buffer := m.buffers.Get().(*[blockBytes]byte)
	defer m.buffers.Put(buffer)
	_, err := m.file.ReadAt(buffer[:], int64(which.block()*blockBytes))
	must(err)
	first := binary.LittleEndian.Uint64(buffer[:])
	last := binary.LittleEndian.Uint64(buffer[blockBytes-8:])
	return int(first + last)
}

func (m *mixedRun) answer(which key) int {
	m.lock.Lock()
	at := m.table.look(which)
	m.lock.Unlock()
	time.Sleep(which.timer())
	return at + m.read(which)
}

func (m *mixedRun) serve(request int) {
	begin := time.Now()
	var parts [fanOut]int
	var children sync.WaitGroup
	children.Add(fanOut)
	for child := 0; child < fanOut; child++ {
		go func() {
			defer children.Done()
			parts[child] = m.answer(keyOf(request, child))
		}()
	}
	children.Wait()
	sum := 0
	for _, part := range parts {
		sum += part
	}
	m.close(request, begin, sum)
}

func (m *mixedRun) close(request int, begin time.Time, sum int) {
	took := time.Since(begin)
	longest := time.Duration(0)
	for child := 0; child < fanOut; child++ {
		of := keyOf(request, child)
		longest = max(longest, of.timer())
		sum -= m.ends[of%entries] + 2*of.block()
	}
	if sum != 0 {
		panic("a request has a wrong sum")
	}
	m.beyond[request] = took - longest
}

func mixed(requests int) repetition {
	inFlight := min(requests, inFlightMost)
	each := requests / inFlight
	run := newMixedRun(inFlight * each)
	defer run.file.Close()
	var clients sync.WaitGroup
	clients.Add(inFlight)
	watch := start()
	for client := 0; client < inFlight; client++ {
		go func() {
			defer clients.Done()
			for turn := 0; turn < each; turn++ {
				run.serve(client*each + turn)
			}
		}()
	}
	clients.Wait()
	result := watch.stop(len(run.beyond))
	sum := uint64(0)
	for _, times := range run.table.seen {
		sum += times
	}
	if sum != uint64(len(run.beyond)*fanOut) {
		panic("the lock did not exclude: the table is wrong")
	}
	sort.Slice(run.beyond, func(i, j int) bool { return run.beyond[i] < run.beyond[j] })
	if run.beyond[0] < 0 {
		panic("a timer ended early")
	}
	result.BeyondMedian = run.beyond[len(run.beyond)/2].Seconds()
	result.BeyondP99 = run.beyond[len(run.beyond)*99/100].Seconds()
	return result
}
