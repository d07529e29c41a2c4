import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.locks.ReentrantLock;

/** The requests of bench/peers/cpp/mixed.hpp. */
final class Mixed {
  private static final int FAN_OUT = 32;
  private static final int IN_FLIGHT_MOST = 128;
  private static final int BLOCK_BYTES = 4096;
  private static final int BLOCKS = 64;
  private static final int ENTRIES = 256;
  private static final int STEPS = 128;

  private final ReentrantLock lock = new ReentrantLock();
  private final int[] next = new int[ENTRIES];
  private final long[] seen = new long[ENTRIES]; // guarded by lock
  private final int[] ends = new int[ENTRIES];
  // Direct, so that nothing is copied, and used again, as making one is dear.
  private final ConcurrentLinkedDeque<ByteBuffer> buffers = new ConcurrentLinkedDeque<>();
  private final FileChannel file;
  private final double[] beyond;

  private Mixed(FileChannel file, int requests) {
    this.file = file;
    beyond = new double[requests];
    for (int i = 0; i < ENTRIES; ++i) next[i] = (5 * i + 1) % ENTRIES;
    for (int i = 0; i < ENTRIES; ++i) ends[i] = endOf(i);
  }

  private static int keyOf(int request, int child) {
    int bits = (request * FAN_OUT + child) * 0x9E3779B1; // 2654435761
    return bits ^ bits >>> 16;
  }

  private static int block(int key) {
    return (key >>> 8) % BLOCKS;
  }

  private static int timerMicroseconds(int key) {
    return 100 + (key >>> 8) % 1901;
  }

  private int endOf(int key) {
    int at = key & ENTRIES - 1;
    for (int step = 0; step < STEPS; ++step) at = next[at];
    return at;
  }

  private long read(int key) throws IOException {
    ByteBuffer buffer = buffers.pollFirst();
    if (buffer == null) {
      buffer = ByteBuffer.allocateDirect(BLOCK_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    }
    if (file.read(buffer.clear(), (long) block(key) * BLOCK_BYTES) != BLOCK_BYTES) {
      throw new IOException("a block was not read");
    }
    long sum = buffer.getLong(0) + buffer.getLong(BLOCK_BYTES - 8);
    buffers.addFirst(buffer);
    return sum;
  }

  private long answer(int key) {
    int at;
    lock.lock();
    try {
      at = endOf(key);
      ++seen[at];
    } finally {
      lock.unlock();
    }
    try {
      int microseconds = timerMicroseconds(key);
      Thread.sleep(microseconds / 1000, microseconds % 1000 * 1000);
      return at + read(key);
    } catch (InterruptedException impossible) {
      throw new IllegalStateException(impossible);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  private void serve(int request) {
    long begin = System.nanoTime();
    long[] parts = new long[FAN_OUT];
    Thread[] children = new Thread[FAN_OUT];
    for (int child = 0; child < FAN_OUT; ++child) {
      int self = child;
      children[child] = Peer.spawn(() -> parts[self] = answer(keyOf(request, self)));
    }
    long sum = 0;
    for (int child = 0; child < FAN_OUT; ++child) {
      Measure.join(children[child]);
      sum += parts[child];
    }
    close(request, begin, sum);
  }

  private void close(int request, long begin, long sum) {
    long took = System.nanoTime() - begin;
    int longest = 0;
    for (int child = 0; child < FAN_OUT; ++child) {
      int key = keyOf(request, child);
      longest = Math.max(longest, timerMicroseconds(key));
      sum -= ends[key & ENTRIES - 1] + 2 * block(key);
    }
    if (sum != 0) throw new IllegalStateException("a request has a wrong sum");
    beyond[request] = took * 1e-9 - longest * 1e-6;
  }

  private Repetition run(int inFlight, int each) {
    Thread[] clients = new Thread[inFlight];
    Measure watch = Measure.start();
    for (int client = 0; client < inFlight; ++client) {
      int first = client * each;
      clients[client] = Peer.spawn(() -> {
        for (int turn = 0; turn < each; ++turn) serve(first + turn);
      });
    }
    for (Thread client : clients) Measure.join(client);
    Repetition result = watch.stop(beyond.length);
    if (Arrays.stream(seen).sum() != (long) beyond.length * FAN_OUT) {
      throw new IllegalStateException("the lock did not exclude: the table is wrong");
    }
    Arrays.sort(beyond);
    if (beyond[0] < -1e-8) throw new IllegalStateException("a timer ended early");
    return result.with("beyond_median_s", beyond[beyond.length / 2])
        .with("beyond_p99_s", beyond[beyond.length * 99 / 100]);
  }

  /** A block is its number, again and again. */
  private static void fill(FileChannel file) throws IOException {
    for (int block = 0; block < BLOCKS; ++block) {
      ByteBuffer bytes = ByteBuffer.allocate(BLOCK_BYTES).order(ByteOrder.LITTLE_ENDIAN);
      while (bytes.hasRemaining()) bytes.putLong(block);
      file.write(bytes.flip(), (long) block * BLOCK_BYTES);
    }
  }

  static Repetition run(int requests) {
    int inFlight = Math.min(requests, IN_FLIGHT_MOST);
    int each = requests / inFlight;
    try {
      Path path = Files.createTempFile(Path.of("."), "bench-peer-java", null);
      try (FileChannel file = FileChannel.open(path, StandardOpenOption.READ,
          StandardOpenOption.WRITE, StandardOpenOption.DELETE_ON_CLOSE)) {
        fill(file);
        return new Mixed(file, inFlight * each).run(inFlight, each);
      }
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }
}
