import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** Clocks, memory, and the length of a critical section. */
final class Measure {
  static volatile long sink;

  private final long wall = System.nanoTime();
  private final double cpu = cpuSeconds();

  static Measure start() {
    return new Measure();
  }

  Repetition stop(double operations) {
    double used = cpuSeconds() - cpu;
    return new Repetition(operations, (System.nanoTime() - wall) * 1e-9, used);
  }

  /** All kernel threads of the process, the collector's and the compiler's among them. */
  private static double cpuSeconds() {
    long total = 0;
    readStat();
    for (File thread : new File("/proc/self/task").listFiles()) {
      try {
        String said = Files.readString(Path.of(thread.getPath(), "schedstat"));
        total += Long.parseLong(said.substring(0, said.indexOf(' ')));
      } catch (NoSuchFileException ended) {
        // it has ended just now
      } catch (IOException error) {
        if (thread.exists()) throw new UncheckedIOException(error);
      }
    }
    return total * 1e-9;
  }

  /** The kernel counts the running thread's time at its tick only, or when this file is read. */
  private static void readStat() {
    try {
      Files.readString(Path.of("/proc/self/stat"));
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  /** VmRSS + VmPTE of this process. */
  static double residentBytes() {
    try {
      double kibibytes = 0;
      for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
        if (line.startsWith("VmRSS:") || line.startsWith("VmPTE:")) {
          kibibytes += Double.parseDouble(line.split("\\s+")[1]);
        }
      }
      return kibibytes * 1024;
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  /** A chain of dependent multiplications; gives what becomes of the value. */
  static long spend(long turns, long value) {
    for (long turn = 0; turn < turns; ++turn) value = value * 0x5DEECE66DL + 11;
    return value;
  }

  static long turnsLasting(long nanoseconds) {
    final long turns = 200_000;
    long best = Long.MAX_VALUE;
    for (int burst = 0; burst < 50; ++burst) {
      long begin = System.nanoTime();
      sink = spend(turns, 1);
      best = Math.min(best, System.nanoTime() - begin);
    }
    return nanoseconds == 0 ? 0 : Math.round((double) nanoseconds * turns / best);
  }

  static void join(Thread one) {
    try {
      one.join();
    } catch (InterruptedException impossible) {
      throw new IllegalStateException(impossible);
    }
  }
}
