import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;

/**
 * The JDK's own server, com.sun.net.httpserver, with a virtual thread an exchange. Runs until it is
 * killed.
 */
final class Http {
  private static final byte[] BODY = "Hello, World!".getBytes(StandardCharsets.US_ASCII);

  private Http() {}

  private static void answer(HttpExchange exchange) throws IOException {
    exchange.getResponseHeaders().set("Content-Type", "text/plain");
    exchange.sendResponseHeaders(200, BODY.length);
    try (OutputStream out = exchange.getResponseBody()) {
      out.write(BODY);
    }
  }

  static void serve() {
    // Else it closes idle connections beyond 200, and sends the body when the head is acknowledged.
    System.setProperty("sun.net.httpserver.maxIdleConnections", "20000");
    System.setProperty("sun.net.httpserver.nodelay", "true");
    try {
      InetSocketAddress any = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
      HttpServer server = HttpServer.create(any, 4096);
      server.createContext("/", Http::answer);
      server.setExecutor(Peer::spawn);
      server.start();
      System.out.println("{\"port\": " + server.getAddress().getPort() + "}");
      System.out.flush();
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }
}
