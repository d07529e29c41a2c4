import java.util.Arrays;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;

/** Very many threads that end at once, sleep, or are parked. */
final class Crowds {
  private Crowds() {}

  static Repetition spawnAndJoin(int threads) {
    Measure watch = Measure.start();
    for (int made = 0; made < threads; ++made) Measure.join(Peer.spawn(() -> {}));
    return watch.stop(threads);
  }

  static Repetition spawnAllThenJoin(int threads) {
    Thread[] all = new Thread[threads];
    Measure watch = Measure.start();
    for (int made = 0; made < threads; ++made) all[made] = Peer.spawn(() -> {});
    for (Thread one : all) Measure.join(one);
    return watch.stop(threads);
  }

  static Repetition sleep(int threads) {
    double[] late = new double[threads];
    Thread[] all = new Thread[threads];
    int random = 1;
    Measure watch = Measure.start();
    for (int made = 0; made < threads; ++made) {
      random = random * 1664525 + 1013904223; // as in bench/workloads.hpp
      int self = made;
      long span = (random >>> 16) % 1001;
      all[made] = Peer.spawn(() -> {
        long begin = System.nanoTime();
        try {
          Thread.sleep(span);
        } catch (InterruptedException impossible) {
          throw new IllegalStateException(impossible);
        }
        late[self] = (System.nanoTime() - begin) * 1e-9 - span * 1e-3;
      });
    }
    for (Thread one : all) Measure.join(one);
    Repetition result = watch.stop(threads);
    Arrays.sort(late);
    if (late[0] < -1e-8) throw new IllegalStateException("a sleeper woke early");
    return result.with("late_median_s", late[threads / 2])
        .with("late_worst_s", late[threads - 1]);
  }

  /** All wait for one semaphore; they are then woken and counted. */
  static Repetition park(int threads) {
    Semaphore gate = new Semaphore(0);
    AtomicInteger arrived = new AtomicInteger();
    AtomicInteger left = new AtomicInteger();
    double before = Measure.residentBytes();
    Measure watch = Measure.start();
    for (int made = 0; made < threads; ++made) {
      Peer.spawn(() -> {
        arrived.incrementAndGet();
        gate.acquireUninterruptibly();
        left.incrementAndGet();
      });
    }
    while (arrived.get() < threads) Thread.yield();
    Thread.yield(); // the last one may have counted and not yet parked
    Repetition result = watch.stop(threads);
    result.with("bytes", Measure.residentBytes() - before);
    gate.release(threads);
    while (left.get() < threads) Thread.yield();
    return result;
  }
}
