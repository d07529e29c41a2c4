// The serial parts of `queens` and `matrix`, the same for every peer in C++. Other languages have
// the same algorithm and data; their rows are told as speed-up over their own serial code, so that
// compilers are not compared; never inlined, so that both run the same instructions.
#pragma once

#include <array>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace treadle::bench {

inline constexpr int queens_size_max = 16;
// Forks down to here: some thousand children of some microseconds each for 12 queens.
inline constexpr int queens_forked_rows = 4;
// 32 x 32 doubles: three such blocks fit into the first-level cache; a product takes about 10 us.
inline constexpr long multiply_leaf = 32;

/// Queens on the rows above `row`: what they attack in this row, a bit a column.
struct board {
  int size = 0;
  int row = 0;
  std::uint32_t columns = 0;
  std::uint32_t left = 0;
  std::uint32_t right = 0;

  bool is_free(int column) const { return ((columns | left | right) >> column & 1) == 0; }
  board with(int column) const {
    const std::uint32_t bit = std::uint32_t{1} << column;
    return {size, row + 1, columns | bit, (left | bit) << 1, (right | bit) >> 1};
  }
};

[[gnu::noinline]] inline long count_queens_alone(const board& from) {
  if (from.row == from.size) return 1;
  long ways = 0;
  for (int column = 0; column < from.size; ++column) {
    if (from.is_free(column)) ways += count_queens_alone(from.with(column));
  }
  return ways;
}

/// A square block inside a matrix whose rows are `stride` apart.
struct square {
  double* at = nullptr;
  long size = 0;
  long stride = 0;

  square part(int row, int column) const {
    const long half = size / 2;
    return {at + row * half * stride + column * half, half, stride};
  }
};

[[gnu::noinline]] inline void multiply_alone(const square& c, const square& a, const square& b) {
  for (long i = 0; i < c.size; ++i) {
    for (long k = 0; k < c.size; ++k) {
      const double left = a.at[i * a.stride + k];
      for (long j = 0; j < c.size; ++j) {
        c.at[i * c.stride + j] += left * b.at[k * b.stride + j];
      }
    }
  }
}

/// A, B and C of a size that is a power of two and at least multiply_leaf. Small whole numbers, so
/// that the sums are exact in any order.
class matrices {
 public:
  explicit matrices(long size) : size_(size) {
    if (size < multiply_leaf || (size & (size - 1)) != 0) {
      throw std::runtime_error("matrix needs a power of two from 32");
    }
    const auto cells = static_cast<std::size_t>(size * size);
    for (std::size_t i = 0; i < cells; ++i) {
      a_.push_back(static_cast<double>(i % 7));
      b_.push_back(static_cast<double>(i % 5));
    }
    c_.assign(cells, 0);
  }
  square a() { return {a_.data(), size_, size_}; }
  square b() { return {b_.data(), size_, size_}; }
  square c() { return {c_.data(), size_, size_}; }

  /// Keeps what C is as what it must become again.
  void forget() {
    expected_ = c_;
    c_.assign(c_.size(), 0);
  }
  void check() const {
    if (c_ != expected_) throw std::runtime_error("the product is wrong");
  }

 private:
  long size_;
  std::vector<double> a_;
  std::vector<double> b_;
  std::vector<double> c_;
  std::vector<double> expected_;
};

/// The whole product in the order of the parallel one, by one thread and without forks.
inline void multiply_blocks_alone(const square& c, const square& a, const square& b) {
  if (c.size <= multiply_leaf) {
    multiply_alone(c, a, b);
    return;
  }
  for (int half = 0; half < 2; ++half) {
    for (int quarter = 0; quarter < 4; ++quarter) {
      const int row = quarter / 2;
      const int column = quarter % 2;
      multiply_blocks_alone(c.part(row, column), a.part(row, half), b.part(half, column));
    }
  }
}

inline void multiply_all_alone(matrices& of) { multiply_blocks_alone(of.c(), of.a(), of.b()); }

}  // namespace treadle::bench
