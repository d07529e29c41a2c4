//! The algorithms and sizes of bench/peers/cpp/kernels.hpp.

use crate::measure::{Repetition, Stopwatch};
use std::future::Future;
use std::pin::Pin;

const QUEENS_FORKED_ROWS: usize = 4;
const MULTIPLY_LEAF: usize = 32;

#[derive(Clone, Copy)]
struct Board {
    size: usize,
    row: usize,
    columns: u32,
    left: u32,
    right: u32,
}

impl Board {
    fn is_free(&self, column: usize) -> bool {
        (self.columns | self.left | self.right) >> column & 1 == 0
    }

    fn with(&self, column: usize) -> Board {
        let bit = 1 << column;
        Board {
            size: self.size,
            row: self.row + 1,
            columns: self.columns | bit,
            left: (self.left | bit) << 1,
            right: (self.right | bit) >> 1,
        }
    }
}

#[inline(never)]
fn count_queens_alone(from: Board) -> usize {
    if from.row == from.size {
        return 1;
    }
    let mut ways = 0;
    for column in 0..from.size {
        if from.is_free(column) {
            ways += count_queens_alone(from.with(column));
        }
    }
    ways
}

fn count_queens(from: Board) -> Pin<Box<dyn Future<Output = usize> + Send>> {
    Box::pin(async move {
        if from.row >= QUEENS_FORKED_ROWS {
            return count_queens_alone(from);
        }
        let children: Vec<_> = (0..from.size)
            .filter(|&column| from.is_free(column))
            .map(|column| tokio::spawn(count_queens(from.with(column))))
            .collect();
        let mut sum = 0;
        for child in children {
            sum += child.await.expect("a task panicked");
        }
        sum
    })
}

pub async fn place_queens(size: usize) -> Repetition {
    let empty = Board { size, row: 0, columns: 0, left: 0, right: 0 };
    let alone = Stopwatch::start();
    let expected = count_queens_alone(empty);
    let serial = alone.stop(1);
    let watch = Stopwatch::start();
    let found = count_queens(empty).await;
    let mut result = watch.stop(1);
    assert_eq!(found, expected, "the queens were counted wrong");
    result.extra.push(("serial_s", serial.cpu_s));
    result
}

/// A square block inside a matrix whose rows are `stride` apart. Blocks that are written at the
/// same time do not overlap, and each task is awaited before the matrix goes.
#[derive(Clone, Copy)]
struct Square {
    at: *mut f64,
    size: usize,
    stride: usize,
}

// SAFETY: see above.
unsafe impl Send for Square {}

impl Square {
    fn of(cells: &mut [f64], size: usize) -> Square {
        Square { at: cells.as_mut_ptr(), size, stride: size }
    }

    fn part(&self, row: usize, column: usize) -> Square {
        let half = self.size / 2;
        // SAFETY: inside the block.
        let at = unsafe { self.at.add(row * half * self.stride + column * half) };
        Square { at, size: half, stride: self.stride }
    }

    /// SAFETY: nobody else has a reference to this row.
    unsafe fn row(&self, row: usize) -> &mut [f64] {
        std::slice::from_raw_parts_mut(self.at.add(row * self.stride), self.size)
    }

    /// SAFETY: nobody writes this row.
    unsafe fn row_to_read(&self, row: usize) -> &[f64] {
        std::slice::from_raw_parts(self.at.add(row * self.stride), self.size)
    }
}

#[inline(never)]
fn multiply_alone(c: Square, a: Square, b: Square) {
    for i in 0..c.size {
        // SAFETY: see Square.
        let (to, lefts) = unsafe { (c.row(i), a.row_to_read(i)) };
        for (k, left) in lefts.iter().enumerate() {
            // SAFETY: see Square.
            let from = unsafe { b.row_to_read(k) };
            for (sum, right) in to.iter_mut().zip(from) {
                *sum += left * right;
            }
        }
    }
}

fn multiply_blocks_alone(c: Square, a: Square, b: Square) {
    if c.size <= MULTIPLY_LEAF {
        return multiply_alone(c, a, b);
    }
    for half in 0..2 {
        for quarter in 0..4 {
            let (row, column) = (quarter / 2, quarter % 2);
            multiply_blocks_alone(c.part(row, column), a.part(row, half), b.part(half, column));
        }
    }
}

fn multiply(c: Square, a: Square, b: Square) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        if c.size <= MULTIPLY_LEAF {
            return multiply_alone(c, a, b);
        }
        for half in 0..2 {
            let four = [0, 1, 2, 3].map(|quarter| {
                let (row, column) = (quarter / 2, quarter % 2);
                tokio::spawn(multiply(c.part(row, column), a.part(row, half), b.part(half, column)))
            });
            for child in four {
                child.await.expect("a task panicked");
            }
        }
    })
}

pub async fn multiply_matrices(size: usize) -> Repetition {
    assert!(size >= MULTIPLY_LEAF && size.is_power_of_two(), "matrix needs a power of two from 32");
    let mut a: Vec<f64> = (0..size * size).map(|i| (i % 7) as f64).collect();
    let mut b: Vec<f64> = (0..size * size).map(|i| (i % 5) as f64).collect();
    let mut expected = vec![0.0; size * size];
    let mut cells = vec![0.0; size * size];
    let (a, b) = (Square::of(&mut a, size), Square::of(&mut b, size));
    let alone = Stopwatch::start();
    multiply_blocks_alone(Square::of(&mut expected, size), a, b);
    let serial = alone.stop(1);
    let c = Square::of(&mut cells, size);
    let watch = Stopwatch::start();
    multiply(c, a, b).await;
    let mut result = watch.stop(1);
    assert_eq!(cells, expected, "the product is wrong");
    result.extra.push(("serial_s", serial.cpu_s));
    result
}
