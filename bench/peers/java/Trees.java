import java.util.function.IntToLongFunction;

/** Fork-join by threads: a child is started and joined. */
final class Trees {
  private Trees() {}

  private static long fib(int n) {
    if (n < 2) return n;
    long[] one = new long[1];
    Thread child = Peer.spawn(() -> one[0] = fib(n - 1));
    long two = fib(n - 2);
    Measure.join(child);
    return one[0] + two;
  }

  static Repetition fibonacciTree(int n) {
    return fibonacciTree(n, Trees::fib);
  }

  /** fib(n) forks fib(n + 1) - 1 times. */
  static Repetition fibonacciTree(int n, IntToLongFunction tree) {
    long forks = 1;
    for (long before = 0, step = 0; step < n; ++step) {
      long next = forks + before;
      before = forks;
      forks = next;
    }
    Measure watch = Measure.start();
    long value = tree.applyAsLong(n);
    Repetition result = watch.stop(forks - 1);
    if (value < n - 1) throw new IllegalStateException("fib gave a wrong number");
    return result;
  }

  private static long skynet(long number, int leaves) {
    if (leaves == 1) return number;
    int share = leaves / 10;
    long[] sums = new long[10];
    Thread[] children = new Thread[10];
    for (int child = 0; child < 10; ++child) {
      int self = child;
      children[child] = Peer.spawn(() -> sums[self] = skynet(number + (long) self * share, share));
    }
    long total = 0;
    for (int child = 0; child < 10; ++child) {
      Measure.join(children[child]);
      total += sums[child];
    }
    return total;
  }

  static Repetition skynetTree(int leaves) {
    return skynetTree(leaves, all -> skynet(0, all));
  }

  static Repetition skynetTree(int leaves, IntToLongFunction tree) {
    long spawned = 0;
    for (int row = leaves; row > 1; row /= 10) spawned += row;
    Measure watch = Measure.start();
    long value = tree.applyAsLong(leaves);
    Repetition result = watch.stop(spawned);
    if (value != (long) leaves * (leaves - 1) / 2) {
      throw new IllegalStateException("skynet gave a wrong sum");
    }
    return result;
  }
}
