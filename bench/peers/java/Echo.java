import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;

/** A virtual thread a connection. Runs until it is killed. */
final class Echo {
  private Echo() {}

  private static void echo(Socket peer) {
    byte[] message = new byte[1024];
    try (peer) {
      peer.setTcpNoDelay(true);
      InputStream in = peer.getInputStream();
      OutputStream out = peer.getOutputStream();
      for (int got; (got = in.read(message)) > 0;) out.write(message, 0, got);
    } catch (IOException gone) {
      // The peer is gone.
    }
  }

  static void serve() {
    try (ServerSocket door = new ServerSocket(0, 4096, InetAddress.getLoopbackAddress())) {
      System.out.println("{\"port\": " + door.getLocalPort() + "}");
      System.out.flush();
      for (;;) {
        Socket peer = door.accept();
        Peer.spawn(() -> echo(peer));
      }
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }
}
