package main

import "sync"

// The algorithms and sizes of bench/peers/cpp/kernels.hpp.
const (
	queensForkedRows = 4
	multiplyLeaf     = 32
)

type board struct {
	size, row            int
	columns, left, right uint32
}

func (b board) isFree(column int) bool {
	return (b.columns|b.left|b.right)>>column&1 == 0
}

func (b board) with(column int) board {
	bit := uint32(1) << column
	return board{b.size, b.row + 1, b.columns | bit, (b.left | bit) << 1, (b.right | bit) >> 1}
}

//go:noinline
func countQueensAlone(from board) int {
	if from.row == from.size {
		return 1
	}
	ways := 0
	for column := 0; column < from.size; column++ {
		if from.isFree(column) {
			ways += countQueensAlone(from.with(column))
		}
	}
	return ways
}

func countQueens(from board) int {
	if from.row >= queensForkedRows {
		return countQueensAlone(from)
	}
	ways := make([]int, from.size)
	var children sync.WaitGroup
	for column := 0; column < from.size; column++ {
		if !from.isFree(column) {
			continue
		}
		next, result := from.with(column), &ways[column]
		children.Add(1)
		go func() {
			defer children.Done()
			*result = countQueens(next)
		}()
	}
	children.Wait()
	sum := 0
	for _, one := range ways {
		sum += one
	}
	return sum
}

func placeQueens(size int) repetition {
	empty := board{size: size}
	alone := start()
	expected := countQueensAlone(empty)
	serial := alone.stop(1)
	watch := start()
	found := countQueens(empty)
	result := watch.stop(1)
	if found != expected {
		panic("the queens were counted wrong")
	}
	result.SerialS = serial.CPUS
	return result
}

type square struct {
	at           []float64
	size, stride int
}

func (s square) part(row, column int) square {
	half := s.size / 2
	return square{s.at[row*half*s.stride+column*half:], half, s.stride}
}

//go:noinline
func multiplyAlone(c, a, b square) {
	for i := 0; i < c.size; i++ {
		to := c.at[i*c.stride : i*c.stride+c.size]
		for k := 0; k < c.size; k++ {
			left := a.at[i*a.stride+k]
			from := b.at[k*b.stride : k*b.stride+c.size]
			for j := range to {
				to[j] += left * from[j]
			}
		}
	}
}

func multiplyBlocksAlone(c, a, b square) {
	if c.size <= multiplyLeaf {
		multiplyAlone(c, a, b)
		return
	}
	for half := 0; half < 2; half++ {
		for quarter := 0; quarter < 4; quarter++ {
			row, column := quarter/2, quarter%2
			multiplyBlocksAlone(c.part(row, column), a.part(row, half), b.part(half, column))
		}
	}
}

func multiply(c, a, b square) {
	if c.size <= multiplyLeaf {
		multiplyAlone(c, a, b)
		return
	}
	for half := 0; half < 2; half++ {
		var four sync.WaitGroup
		four.Add(4)
		for quarter := 0; quarter < 4; quarter++ {
			row, column := quarter/2, quarter%2
			go func() {
				defer four.Done()
				multiply(c.part(row, column), a.part(row, half), b.part(half, column))
			}()
		}
		four.Wait()
	}
}

func multiplyMatrices(size int) repetition {
	if size < multiplyLeaf || size&(size-1) != 0 {
		panic("matrix needs a power of two from 32")
	}
	a, b := make([]float64, size*size), make([]float64, size*size)
	for i := range a {
		a[i], b[i] = float64(i%7), float64(i%5)
	}
	whole := func(of []float64) square { return square{of, size, size} }
	expected, c := make([]float64, size*size), make([]float64, size*size)
	alone := start()
	multiplyBlocksAlone(whole(expected), whole(a), whole(b))
	serial := alone.stop(1)
	watch := start()
	multiply(whole(c), whole(a), whole(b))
	result := watch.stop(1)
	for i := range c {
		if c[i] != expected[i] {
			panic("the product is wrong")
		}
	}
	result.SerialS = serial.CPUS
	return result
}
