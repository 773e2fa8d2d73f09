package shop;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.NoSuchElementException;
import java.util.concurrent.Executor;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Answers POST /shows/1/tickets?user=42. */
final class ShopServer {
  private static final Pattern TICKETS =
      Pattern.compile("/shows/(\\d{1,18})/tickets(?:\\?user=(.*))?");

  private ShopServer() {}

  static HttpServer start(Shop shop, Executor threads) throws IOException {
    HttpServer server =
        HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 500);
    server.createContext("/shows/", exchange -> answer(shop, exchange));
    server.setExecutor(threads);
    server.start();
    return server;
  }

  private static void answer(Shop shop, HttpExchange exchange) throws IOException {
    exchange.sendResponseHeaders(status(shop, exchange), -1);
    exchange.close();
  }

  private static int status(Shop shop, HttpExchange exchange) {
    Matcher path = TICKETS.matcher(exchange.getRequestURI().toString());
    if (!path.matches()) {
      return 404;
    }
    // A real shop takes the user from the session, never from the request.
    String user = path.group(2);
    if (user == null || !user.matches("\\d{1,18}")) {
      return 400;
    }
    try {
      Long id = shop.sell(Long.parseLong(path.group(1)), Long.parseLong(user));
      return id == null ? 409 : 201;
    } catch (NoSuchElementException e) {
      return 404;
    } catch (Exception e) {
      e.printStackTrace();
      return 500;
    }
  }
}
