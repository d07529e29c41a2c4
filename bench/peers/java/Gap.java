import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.function.Supplier;

/**
 * What bench/peers/cpp/gap_workloads.hpp has, but for calls of the kernel that block: nothing in the
 * library makes one that is not for virtual threads. Nor can it ask
 * the kernel to forget a file's pages.
 */
final class Gap {
  private Gap() {}

  static boolean has(String name) {
    return name.equals("gap_fsync") || name.equals("gap_hog");
  }

  private static void writeAndSync(FileChannel file) {
    try {
      file.write(ByteBuffer.allocate(65536), 0);
      file.force(true);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  static Supplier<Repetition> find(String name, int times, int more) {
    if (name.equals("gap_hog")) {
      return () -> longest(times, () -> {
        long end = System.nanoTime() + more * 1_000_000L;
        while (System.nanoTime() < end) Measure.sink = Measure.spend(1000, 1);
      });
    }
    try {
      Path path = Files.createTempFile(Path.of("."), "bench-peer-java", null);
      FileChannel file = FileChannel.open(path, StandardOpenOption.WRITE,
          StandardOpenOption.DELETE_ON_CLOSE);
      return () -> longest(times, () -> writeAndSync(file));
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  private static volatile boolean done;

  private static void sleep(long milliseconds) {
    try {
      Thread.sleep(milliseconds);
    } catch (InterruptedException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  private static Repetition longest(int times, Runnable disturb) {
    double[] longest = {0};
    done = false;
    Measure watch = Measure.start();
    Thread ticking = Peer.spawn(() -> {
      long last = System.nanoTime();
      while (!done) {
        sleep(1);
        long now = System.nanoTime();
        longest[0] = Math.max(longest[0], (now - last) * 1e-9 - 1e-3);
        last = now;
      }
    });
    Thread disturbing = Peer.spawn(() -> {
      for (int time = 0; time < times; ++time) {
        sleep(5);
        disturb.run();
      }
      done = true;
    });
    Measure.join(ticking);
    Measure.join(disturbing);
    return watch.stop(times).with("longest_wait_s", longest[0]);
  }
}
