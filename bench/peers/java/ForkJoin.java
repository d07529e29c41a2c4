import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.ForkJoinTask;
import java.util.concurrent.RecursiveAction;
import java.util.concurrent.RecursiveTask;
import java.util.function.Supplier;

/** The peer "java-forkjoin": the trees by tasks of the common pool, as RecursiveTask shows fib. */
final class ForkJoin {
  private ForkJoin() {}

  private static final class Fib extends RecursiveTask<Long> {
    private static final long serialVersionUID = 1;
    private final int n;

    Fib(int n) {
      this.n = n;
    }

    @Override protected Long compute() {
      if (n < 2) return (long) n;
      Fib one = new Fib(n - 1);
      one.fork();
      return new Fib(n - 2).compute() + one.join();
    }
  }

  private static final class Skynet extends RecursiveTask<Long> {
    private static final long serialVersionUID = 1;
    private final long number;
    private final int leaves;

    Skynet(long number, int leaves) {
      this.number = number;
      this.leaves = leaves;
    }

    @Override protected Long compute() {
      if (leaves == 1) return number;
      int share = leaves / 10;
      Skynet[] children = new Skynet[10];
      for (int child = 0; child < 10; ++child) {
        children[child] = new Skynet(number + (long) child * share, share);
      }
      invokeAll(children);
      long total = 0;
      for (Skynet child : children) total += child.join();
      return total;
    }
  }

  private static final class Queens extends RecursiveTask<Integer> {
    private static final long serialVersionUID = 1;
    private final int size;
    private final int row;
    private final int columns;
    private final int left;
    private final int right;

    Queens(int size, int row, int columns, int left, int right) {
      this.size = size;
      this.row = row;
      this.columns = columns;
      this.left = left;
      this.right = right;
    }

    @Override protected Integer compute() {
      if (row >= Kernels.QUEENS_FORKED_ROWS) {
        return Kernels.countQueensAlone(size, row, columns, left, right);
      }
      List<Queens> children = new ArrayList<>(size);
      for (int column = 0; column < size; ++column) {
        int bit = 1 << column;
        if (((columns | left | right) & bit) != 0) continue;
        children.add(
            new Queens(size, row + 1, columns | bit, (left | bit) << 1, (right | bit) >>> 1));
      }
      int sum = 0;
      for (Queens child : invokeAll(children)) sum += child.join();
      return sum;
    }
  }

  private static final class Multiply extends RecursiveAction {
    private static final long serialVersionUID = 1;
    private final transient Kernels.Square c;
    private final transient Kernels.Square a;
    private final transient Kernels.Square b;

    Multiply(Kernels.Square c, Kernels.Square a, Kernels.Square b) {
      this.c = c;
      this.a = a;
      this.b = b;
    }

    @Override protected void compute() {
      if (c.size <= Kernels.MULTIPLY_LEAF) {
        Kernels.multiplyAlone(c, a, b);
        return;
      }
      for (int half = 0; half < 2; ++half) {
        invokeAll(new Multiply(c.part(0, 0), a.part(0, half), b.part(half, 0)),
            new Multiply(c.part(0, 1), a.part(0, half), b.part(half, 1)),
            new Multiply(c.part(1, 0), a.part(1, half), b.part(half, 0)),
            new Multiply(c.part(1, 1), a.part(1, half), b.part(half, 1)));
      }
    }
  }

  /** Null for what is no tree. */
  static Supplier<Repetition> find(String name, int count) {
    switch (name) {
      case "fib": return () -> Trees.fibonacciTree(count, n -> new Fib(n).invoke());
      case "skynet": return () -> Trees.skynetTree(count, all -> new Skynet(0, all).invoke());
      case "queens":
        return () -> Kernels.placeQueens(count, size -> new Queens(size, 0, 0, 0, 0).invoke());
      case "matrix":
        return () -> Kernels.multiplyMatrices(count, (c, a, b) -> new Multiply(c, a, b).invoke());
      default: return null;
    }
  }

  /** As a task of the pool: the thread of main() would be a worker more. */
  static void run(Runnable body) {
    ForkJoinTask<?> all = ForkJoinPool.commonPool().submit(body);
    all.join();
  }
}
