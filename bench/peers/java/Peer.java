import java.util.Arrays;
import java.util.concurrent.ThreadFactory;
import java.util.function.Supplier;

/**
 * The peer "java": virtual threads, with what java.util.concurrent offers for each workload. The
 * arguments and the output are those of bench/peers/cpp/program.hpp; how many workers there are is
 * said by -Djdk.virtualThreadScheduler.parallelism. With --fork-join before the arguments it is the
 * peer "java-forkjoin", and -Djava.util.concurrent.ForkJoinPool.common.parallelism says it.
 */
final class Peer {
  private static final int STATUS_WRONG = 1;
  private static final int STATUS_USAGE = 2;
  private static final int STATUS_NO_SUCH_WORKLOAD = 3;
  // The compiler of the virtual machine needs more than one to see what is hot, and time of its own.
  private static final int WARM_UPS_LEAST = 3;
  private static final long WARM_UP_NANOSECONDS = 1_000_000_000;

  /** Thread.ofVirtual().factory(), by name: so a compiler from 17 on is enough to build this. */
  static final ThreadFactory VIRTUAL = virtualThreads();

  private Peer() {}

  private static ThreadFactory virtualThreads() {
    try {
      Object builder = Thread.class.getMethod("ofVirtual").invoke(null);
      Class<?> api = Class.forName("java.lang.Thread$Builder");
      return (ThreadFactory) api.getMethod("factory").invoke(builder);
    } catch (ReflectiveOperationException missing) {
      throw new IllegalStateException("this Java has no virtual threads", missing);
    }
  }

  static Thread spawn(Runnable body) {
    Thread made = VIRTUAL.newThread(body);
    made.start();
    return made;
  }

  private static RuntimeException end(int status, String what) {
    System.err.println(what);
    System.err.flush();
    Runtime.getRuntime().halt(status);
    return new IllegalStateException(what);
  }

  private static int number(String name, String text, int least) {
    try {
      int value = Integer.parseInt(text);
      if (value >= least) return value;
    } catch (NumberFormatException notOne) {
      // told below
    }
    throw end(STATUS_USAGE, name + " is '" + text + "'; allowed: a number from " + least);
  }

  private static Supplier<Repetition> find(String name, int count, int more) {
    if (name.startsWith("parked_")) return () -> Crowds.park(count);
    if (name.startsWith("gap_") && Gap.has(name)) return Gap.find(name, count, more);
    if (name.startsWith("mutex_64_")) {
      long turns = Measure.turnsLasting(more);
      return () -> Waits.lockBy64(count, turns);
    }
    switch (name) {
      case "yield": return () -> Waits.yieldBetweenTwo(count);
      case "spawn_join": return () -> Crowds.spawnAndJoin(count);
      case "bulk_spawn": return () -> Crowds.spawnAllThenJoin(count);
      case "handoff_semaphore": return () -> Waits.handOver(count);
      case "handoff_condition": return () -> Waits.handOverByCondition(count);
      case "channel_unbuffered": return () -> Waits.throughAChannel(0, count);
      case "channel_buffered": return () -> Waits.throughAChannel(1024, count);
      case "fib": return () -> Trees.fibonacciTree(count);
      case "skynet": return () -> Trees.skynetTree(count);
      case "queens": return () -> Kernels.placeQueens(count);
      case "matrix": return () -> Kernels.multiplyMatrices(count);
      case "mixed": return () -> Mixed.run(count);
      case "sleepers": return () -> Crowds.sleep(count);
      default: throw end(STATUS_NO_SUCH_WORKLOAD, "has no workload " + name);
    }
  }

  private static void warmUp(Supplier<Repetition> once) {
    long begin = System.nanoTime();
    for (int done = 0;
        done < WARM_UPS_LEAST || System.nanoTime() - begin < WARM_UP_NANOSECONDS; ++done) {
      once.get();
    }
  }

  /** As a virtual thread, so that no kernel thread of its own takes part. */
  private static void measure(String[] words, boolean forkJoin) {
    try {
      int more = words.length == 5 ? number("MORE", words[4], 0) : 0;
      int repetitions = number("REPETITIONS", words[2], 1);
      int count = number("COUNT", words[3], 1);
      Supplier<Repetition> once =
          forkJoin ? ForkJoin.find(words[0], count) : find(words[0], count, more);
      if (once == null) throw end(STATUS_NO_SUCH_WORKLOAD, "has no workload " + words[0]);
      if (!words[0].startsWith("parked_")) warmUp(once);
      for (int done = 0; done < repetitions; ++done) System.out.println(once.get().json());
      System.out.flush();
      Runtime.getRuntime().halt(0);
    } catch (RuntimeException wrong) {
      throw end(STATUS_WRONG, String.valueOf(wrong.getMessage()));
    }
  }

  public static void main(String[] given) throws InterruptedException {
    boolean forkJoin = given.length > 0 && given[0].equals("--fork-join");
    String[] words = forkJoin ? Arrays.copyOfRange(given, 1, given.length) : given;
    if (words.length == 1 && words[0].equals("--version")) {
      System.out.println("Java " + System.getProperty("java.vm.version"));
      return;
    }
    if (words.length != 4 && words.length != 5) {
      throw end(STATUS_USAGE, "WORKLOAD WORKERS REPETITIONS COUNT [MORE]");
    }
    if (words[0].equals("echo")) {
      spawn(Echo::serve).join();
    }
    if (words[0].equals("http")) {
      Http.serve(); // by its own kernel thread, which keeps the process
      return;
    }
    if (forkJoin) ForkJoin.run(() -> measure(words, true));
    spawn(() -> measure(words, false)).join();
  }
}
