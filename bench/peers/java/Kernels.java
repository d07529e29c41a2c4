import java.util.Arrays;
import java.util.function.IntUnaryOperator;

/** The algorithms and sizes of bench/peers/cpp/kernels.hpp. */
final class Kernels {
  static final int QUEENS_FORKED_ROWS = 4;
  static final int MULTIPLY_LEAF = 32;

  private Kernels() {}

  static int countQueensAlone(int size, int row, int columns, int left, int right) {
    if (row == size) return 1;
    int ways = 0;
    for (int column = 0; column < size; ++column) {
      int bit = 1 << column;
      if (((columns | left | right) & bit) != 0) continue;
      ways += countQueensAlone(size, row + 1, columns | bit, (left | bit) << 1,
          (right | bit) >>> 1);
    }
    return ways;
  }

  private static int countQueens(int size, int row, int columns, int left, int right) {
    if (row >= QUEENS_FORKED_ROWS) return countQueensAlone(size, row, columns, left, right);
    int[] ways = new int[size];
    Thread[] children = new Thread[size];
    for (int column = 0; column < size; ++column) {
      int bit = 1 << column;
      if (((columns | left | right) & bit) != 0) continue;
      int self = column;
      children[column] = Peer.spawn(() -> ways[self] =
          countQueens(size, row + 1, columns | bit, (left | bit) << 1, (right | bit) >>> 1));
    }
    int sum = 0;
    for (int column = 0; column < size; ++column) {
      if (children[column] != null) Measure.join(children[column]);
      sum += ways[column];
    }
    return sum;
  }

  interface Product {
    void add(Square c, Square a, Square b);
  }

  static Repetition placeQueens(int size) {
    return placeQueens(size, n -> countQueens(n, 0, 0, 0, 0));
  }

  static Repetition placeQueens(int size, IntUnaryOperator inParallel) {
    Measure alone = Measure.start();
    int expected = countQueensAlone(size, 0, 0, 0, 0);
    Repetition serial = alone.stop(1);
    Measure watch = Measure.start();
    int found = inParallel.applyAsInt(size);
    Repetition result = watch.stop(1);
    if (found != expected) throw new IllegalStateException("the queens were counted wrong");
    return result.with("serial_s", serial.cpuSeconds);
  }

  static final class Square {
    final double[] cells;
    final int from;
    final int size;
    final int stride;

    Square(double[] cells, int from, int size, int stride) {
      this.cells = cells;
      this.from = from;
      this.size = size;
      this.stride = stride;
    }

    Square part(int row, int column) {
      int half = size / 2;
      return new Square(cells, from + row * half * stride + column * half, half, stride);
    }
  }

  static void multiplyAlone(Square c, Square a, Square b) {
    for (int i = 0; i < c.size; ++i) {
      int to = c.from + i * c.stride;
      for (int k = 0; k < c.size; ++k) {
        double left = a.cells[a.from + i * a.stride + k];
        int from = b.from + k * b.stride;
        for (int j = 0; j < c.size; ++j) c.cells[to + j] += left * b.cells[from + j];
      }
    }
  }

  private static void multiplyBlocksAlone(Square c, Square a, Square b) {
    if (c.size <= MULTIPLY_LEAF) {
      multiplyAlone(c, a, b);
      return;
    }
    for (int half = 0; half < 2; ++half) {
      for (int quarter = 0; quarter < 4; ++quarter) {
        int row = quarter / 2;
        int column = quarter % 2;
        multiplyBlocksAlone(c.part(row, column), a.part(row, half), b.part(half, column));
      }
    }
  }

  private static void multiply(Square c, Square a, Square b) {
    if (c.size <= MULTIPLY_LEAF) {
      multiplyAlone(c, a, b);
      return;
    }
    Thread[] four = new Thread[4];
    for (int step = 0; step < 2; ++step) {
      int half = step;
      for (int quarter = 0; quarter < 4; ++quarter) {
        int row = quarter / 2;
        int column = quarter % 2;
        four[quarter] = Peer.spawn(
            () -> multiply(c.part(row, column), a.part(row, half), b.part(half, column)));
      }
      for (Thread one : four) Measure.join(one);
    }
  }

  static Repetition multiplyMatrices(int size) {
    return multiplyMatrices(size, Kernels::multiply);
  }

  static Repetition multiplyMatrices(int size, Product inParallel) {
    if (size < MULTIPLY_LEAF || (size & (size - 1)) != 0) {
      throw new IllegalArgumentException("matrix needs a power of two from 32");
    }
    double[] a = new double[size * size];
    double[] b = new double[size * size];
    for (int i = 0; i < size * size; ++i) {
      a[i] = i % 7;
      b[i] = i % 5;
    }
    Square left = new Square(a, 0, size, size);
    Square right = new Square(b, 0, size, size);
    double[] expected = new double[size * size];
    Measure alone = Measure.start();
    multiplyBlocksAlone(new Square(expected, 0, size, size), left, right);
    Repetition serial = alone.stop(1);
    double[] c = new double[size * size];
    Measure watch = Measure.start();
    inParallel.add(new Square(c, 0, size, size), left, right);
    Repetition result = watch.stop(1);
    if (!Arrays.equals(c, expected)) throw new IllegalStateException("the product is wrong");
    return result.with("serial_s", serial.cpuSeconds);
  }
}
