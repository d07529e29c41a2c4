import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/** Threads that wait for each other. */
final class Waits {
  private Waits() {}

  private interface Body {
    void run() throws InterruptedException;
  }

  private static Thread spawn(Body body) {
    return Peer.spawn(() -> {
      try {
        body.run();
      } catch (InterruptedException impossible) {
        throw new IllegalStateException(impossible);
      }
    });
  }

  private static Repetition both(double operations, Body one, Body two) {
    Measure watch = Measure.start();
    Thread first = spawn(one);
    Thread second = spawn(two);
    Measure.join(first);
    Measure.join(second);
    return watch.stop(operations);
  }

  static Repetition yieldBetweenTwo(int yields) {
    Body body = () -> {
      for (int turn = 0; turn < yields; ++turn) Thread.yield();
    };
    return both(2.0 * yields, body, body);
  }

  static Repetition handOver(int rounds) {
    Semaphore there = new Semaphore(0);
    Semaphore back = new Semaphore(0);
    return both(2.0 * rounds, () -> {
      for (int round = 0; round < rounds; ++round) {
        there.release();
        back.acquire();
      }
    }, () -> {
      for (int round = 0; round < rounds; ++round) {
        there.acquire();
        back.release();
      }
    });
  }

  static Repetition handOverByCondition(int rounds) {
    ReentrantLock lock = new ReentrantLock();
    Condition changed = lock.newCondition();
    int[] turn = {0}; // guarded by lock
    Body[] bodies = new Body[2];
    for (int who = 0; who < 2; ++who) {
      int self = who;
      bodies[who] = () -> {
        for (int round = 0; round < rounds; ++round) {
          lock.lock();
          try {
            while (turn[0] != self) changed.await();
            turn[0] = 1 - self;
            changed.signal();
          } finally {
            lock.unlock();
          }
        }
      };
    }
    return both(2.0 * rounds, bodies[0], bodies[1]);
  }

  static Repetition throughAChannel(int capacity, int values) {
    BlockingQueue<Integer> queue =
        capacity == 0 ? new SynchronousQueue<>() : new ArrayBlockingQueue<>(capacity);
    long[] sum = {0}; // the receiver's; read when it has ended
    Repetition result = both(values, () -> {
      for (int value = 1; value <= values; ++value) queue.put(value);
    }, () -> {
      for (int got = 0; got < values; ++got) sum[0] += queue.take();
    });
    if (sum[0] != (long) values * (values + 1) / 2) {
      throw new IllegalStateException("a value was lost");
    }
    return result;
  }

  private static Repetition lockBy64In(int each, long turns, double[] longest) {
    final int threads = 64;
    ReentrantLock lock = new ReentrantLock();
    long[] counted = {0}; // guarded by lock, as are spent and longest
    long[] spent = {1};
    Thread[] all = new Thread[threads];
    Measure watch = Measure.start();
    for (int made = 0; made < threads; ++made) {
      all[made] = Peer.spawn(() -> {
        for (int turn = 0; turn < each; ++turn) {
          long before = longest == null ? 0 : System.nanoTime();
          lock.lock();
          try {
            if (longest != null) {
              longest[0] = Math.max(longest[0], (System.nanoTime() - before) * 1e-9);
            }
            ++counted[0];
            if (turns != 0) spent[0] = Measure.spend(turns, spent[0]);
          } finally {
            lock.unlock();
          }
        }
      });
    }
    for (Thread one : all) Measure.join(one);
    Repetition result = watch.stop((double) threads * each);
    if (counted[0] != (long) threads * each) {
      throw new IllegalStateException("the lock did not exclude: the count is wrong");
    }
    return result;
  }

  /** And once more with a look at the clock round each lock, which is not timed. */
  static Repetition lockBy64(int each, long turns) {
    Repetition result = lockBy64In(each, turns, null);
    double[] longest = {0};
    lockBy64In(each, turns, longest);
    return result.with("longest_wait_s", longest[0]);
  }
}
