package main

import "sync"

func fib(n int) int {
	if n < 2 {
		return n
	}
	one := 0
	var child sync.WaitGroup
	child.Add(1)
	go func() {
		defer child.Done()
		one = fib(n - 1)
	}()
	two := fib(n - 2)
	child.Wait()
	return one + two
}

// fib(n) forks fib(n + 1) - 1 times.
func fibonacciTree(n int) repetition {
	forks, before := 1, 0
	for step := 0; step < n; step++ {
		forks, before = forks+before, forks
	}
	watch := start()
	value := fib(n)
	result := watch.stop(forks - 1)
	if value < n-1 {
		panic("fib gave a wrong number")
	}
	return result
}

// As it was first published in Go: each node gets its children's sums through a channel.
func skynet(to chan<- int, number, leaves int) {
	if leaves == 1 {
		to <- number
		return
	}
	from := make(chan int)
	share := leaves / 10
	for child := 0; child < 10; child++ {
		go skynet(from, number+child*share, share)
	}
	total := 0
	for child := 0; child < 10; child++ {
		total += <-from
	}
	to <- total
}

func skynetTree(leaves int) repetition {
	spawned := 0
	for row := leaves; row > 1; row /= 10 {
		spawned += row
	}
	watch := start()
	root := make(chan int)
	go skynet(root, 0, leaves)
	value := <-root
	result := watch.stop(spawned)
	if value != leaves*(leaves-1)/2 {
		panic("skynet gave a wrong sum")
	}
	return result
}
