package shop;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import com.sun.net.httpserver.HttpServer;
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import javax.persistence.EntityManager;
import javax.persistence.EntityManagerFactory;
import javax.persistence.Persistence;
import javax.persistence.PersistenceException;
import javax.persistence.RollbackException;
import org.junit.AfterClass;
import org.junit.Before;
import org.junit.BeforeClass;
import org.junit.Test;
import org.postgresql.util.PSQLException;

/** test.sh starts the server that these tests need, and runs the migrations. */
public class ShopTest {
  private static final String CONSTRAINT = "shop_ticket_show_id_capacity";
  private static final int THREADS = 16;
  private static final HttpClient CLIENT = HttpClient.newHttpClient();

  private static HikariDataSource pool;
  private static EntityManagerFactory factory;
  private static ExecutorService threads;

  private long show; // a new show for each test, with 50 places

  @BeforeClass
  public static void start() {
    HikariConfig config = new HikariConfig();
    config.setJdbcUrl(System.getenv("SHOP_URL"));
    config.setMaximumPoolSize(THREADS + 1);
    pool = new HikariDataSource(config);
    factory = createFactory(Map.of());
    threads = Executors.newFixedThreadPool(THREADS);
  }

  @AfterClass
  public static void stop() {
    threads.shutdown();
    factory.close();
    pool.close();
  }

  @Before
  public void addShow() throws Exception {
    show = createShow(50);
  }

  private static EntityManagerFactory createFactory(Map<String, Object> more) {
    Map<String, Object> properties = new HashMap<>(more);
    properties.put("javax.persistence.nonJtaDataSource", pool);
    properties.put("eclipselink.logging.level", "OFF");
    return Persistence.createEntityManagerFactory("shop", properties);
  }

  // ---- the stampede --------------------------------------------------------

  @Test
  public void stampedeByJdbc() throws Exception {
    assertEquals(Map.of(201, 50, 409, 350), stampede(new JdbcShop(pool), show, 400));
    assertEquals(50, sold(show));
    assertEquals(0, problems());
  }

  @Test
  public void stampedeByJpa() throws Exception {
    assertEquals(Map.of(201, 50, 409, 350), stampede(new JpaShop(factory), show, 400));
    assertEquals(50, sold(show));
    assertEquals(0, problems());
  }

  @Test
  public void stampedeWithSessionsThatAreReset() throws Exception {
    List<Callable<Boolean>> buyers = new ArrayList<>();
    for (int i = 0; i < 200; i++) {
      buyers.add(() -> insertAndReset(show));
    }
    int booked = 0;
    for (Future<Boolean> buyer : threads.invokeAll(buyers)) {
      booked += buyer.get() ? 1 : 0;
    }
    assertEquals(50, booked);
    assertEquals(50, sold(show));
    assertEquals(0, problems());
  }

  @Test
  public void oneOfThoseThatCountedBeforeOneInserts() throws Exception {
    for (Shop shop : List.of(new JdbcShop(pool), new JpaShop(factory))) {
      assertEquals(Map.of(201, 1, 409, THREADS - 1), race(shop, createShow(1)));
    }
    assertEquals(0, problems());
  }

  @Test
  public void allOfThemWithoutTheConstraint() throws Exception {
    execute("SELECT booking.drop_capacity_constraint('" + CONSTRAINT + "')");
    try {
      for (Shop shop : List.of(new JdbcShop(pool), new JpaShop(factory))) {
        assertEquals(Map.of(201, THREADS), race(shop, createShow(1)));
      }
    } finally {
      execute("DELETE FROM shop_ticket");
      execute(Files.readString(Path.of("db/migration/V2__capacity.sql")));
    }
  }

  // ---- the error -----------------------------------------------------------

  @Test
  public void theDriversErrorHasTheConstraintsName() throws Exception {
    long full = createShow(0);
    PSQLException error = assertThrows(PSQLException.class, () -> insert(full));
    assertEquals("23514", error.getSQLState());
    assertEquals(CONSTRAINT, error.getServerErrorMessage().getConstraint());
    assertEquals("shop_ticket", error.getServerErrorMessage().getTable());
    assertTrue(SoldOut.causes(error));
  }

  @Test
  public void aShowThatDoesNotExistIsNotSoldOut() {
    PSQLException error = assertThrows(PSQLException.class, () -> insert(999_999_999));
    assertEquals("23503", error.getSQLState());
    assertFalse(SoldOut.causes(error));
  }

  @Test
  public void nothingIsSoldOfAShowThatDoesNotExist() throws Exception {
    for (Shop shop : List.of(new JdbcShop(pool), new JpaShop(factory))) {
      assertEquals(Map.of(404, 1), stampede(shop, 999_999_999, 1));
    }
  }

  @Test
  public void numbersThatAreNoneAreTheClientsError() throws Exception {
    String huge = "9".repeat(30);
    HttpServer server = ShopServer.start(new JdbcShop(pool), threads);
    try {
      for (String query : List.of("", "?user=", "?user=x", "?user=1.5", "?user=" + huge)) {
        assertEquals(400, (int) post(server, "/shows/" + show + "/tickets" + query).get());
      }
      for (String id : List.of("x", "-1", huge)) {
        assertEquals(404, (int) post(server, "/shows/" + id + "/tickets?user=1").get());
      }
    } finally {
      server.stop(0);
    }
  }

  @Test
  public void jdbcGoesOnAfterASavepoint() throws Exception {
    long full = createShow(0);
    try (Connection connection = pool.getConnection();
        Statement statement = connection.createStatement()) {
      connection.setAutoCommit(false);
      statement.execute(insertion(show));
      Savepoint savepoint = connection.setSavepoint();
      assertTrue(
          SoldOut.causes(
              assertThrows(SQLException.class, () -> statement.execute(insertion(full)))));
      connection.rollback(savepoint);
      statement.execute(insertion(show));
      connection.commit();
    }
    assertEquals(2, sold(show));
  }

  @Test
  public void jpaRollsBack() throws Exception {
    Show full = entity(createShow(0));
    EntityManager em = factory.createEntityManager();
    em.getTransaction().begin();
    em.persist(ticket(entity(show)));
    em.persist(ticket(full));
    RollbackException atCommit =
        assertThrows(RollbackException.class, () -> em.getTransaction().commit());
    assertTrue(SoldOut.causes(atCommit));
    assertEquals(0, sold(show));

    em.getTransaction().begin();
    PersistenceException atOnce =
        assertThrows(
            PersistenceException.class,
            () -> {
              em.persist(ticket(full));
              em.flush();
            });
    assertTrue(SoldOut.causes(atOnce));
    assertTrue(em.getTransaction().getRollbackOnly());
    em.getTransaction().rollback();
    em.close();
  }

  @Test
  public void aUnitOfWorkUpdatesThenInsertsThenDeletes() throws Exception {
    Show single = entity(createShow(1));
    EntityManager em = factory.createEntityManager();
    em.getTransaction().begin();
    Ticket first = ticket(single);
    em.persist(first);
    em.getTransaction().commit();

    em.getTransaction().begin();
    first.status = "cancelled";
    Ticket second = ticket(single);
    em.persist(second);
    em.getTransaction().commit();

    em.getTransaction().begin();
    em.remove(second);
    em.persist(ticket(single));
    assertTrue(
        SoldOut.causes(
            assertThrows(RollbackException.class, () -> em.getTransaction().commit())));

    em.getTransaction().begin();
    em.remove(em.find(Ticket.class, second.id));
    em.flush();
    em.persist(ticket(single));
    em.getTransaction().commit();
    em.close();
    assertEquals(1, sold(single.id));
  }

  @Test
  public void theIdIsTheTickets() throws Exception {
    for (Shop shop : List.of(new JdbcShop(pool), new JpaShop(factory))) {
      long id = shop.sell(show, 4242);
      assertEquals(4242, number("SELECT user_id FROM shop_ticket WHERE id = " + id));
    }
  }

  @Test
  public void placesLeftTakesALong() throws Exception {
    insert(show);
    try (Connection connection = pool.getConnection();
        PreparedStatement places =
            connection.prepareStatement("SELECT booking.places_left('" + CONSTRAINT + "', ?)")) {
      places.setLong(1, show);
      ResultSet rows = places.executeQuery();
      assertTrue(rows.next());
      assertEquals(49, rows.getLong(1));
    }
  }

  // ---- what EclipseLink's schema generation does ----------------------------

  @Test
  public void generatedTablesNeedTheScript() throws Exception {
    Map<String, Object> generate =
        Map.of("javax.persistence.schema-generation.database.action", "drop-and-create");
    try {
      execute("SELECT booking.drop_capacity_constraint('" + CONSTRAINT + "')");
      generateTables(generate);
      long full = createShow(0);
      insert(full); // nothing refuses it

      Map<String, Object> withScript = new HashMap<>(generate);
      withScript.put("javax.persistence.sql-load-script-source", "META-INF/capacity.sql");
      generateTables(withScript);
      long again = createShow(0);
      assertTrue(SoldOut.causes(assertThrows(SQLException.class, () -> insert(again))));
      generateTables(withScript);
      assertEquals(0, problems());
    } finally {
      execute("DROP TABLE shop_ticket, shop_show");
      execute("SELECT booking.drop_capacity_constraint('" + CONSTRAINT + "', if_exists => true)");
      execute(Files.readString(Path.of("db/migration/V1__shop.sql")));
      execute(Files.readString(Path.of("db/migration/V2__capacity.sql")));
    }
  }

  private static void generateTables(Map<String, Object> properties) {
    Map<String, Object> own = new HashMap<>(properties);
    own.put("eclipselink.session-name", "generating"); // or it would be the session of factory
    EntityManagerFactory generating = createFactory(own);
    generating.createEntityManager().close(); // the tables are made now
    generating.close();
  }

  // ---- helpers -------------------------------------------------------------

  /** Sends all requests at once, and counts the answers by status. */
  private static Map<Integer, Integer> stampede(Shop shop, long show, int requests)
      throws Exception {
    HttpServer server = ShopServer.start(shop, threads);
    try {
      List<CompletableFuture<Integer>> answers = new ArrayList<>();
      for (int user = 1; user <= requests; user++) {
        answers.add(post(server, "/shows/" + show + "/tickets?user=" + user));
      }
      Map<Integer, Integer> counts = new TreeMap<>();
      for (CompletableFuture<Integer> answer : answers) {
        counts.merge(answer.get(), 1, Integer::sum);
      }
      return counts;
    } finally {
      server.stop(0);
    }
  }

  private static CompletableFuture<Integer> post(HttpServer server, String path) {
    URI uri = URI.create("http://127.0.0.1:" + server.getAddress().getPort() + path);
    HttpRequest request = HttpRequest.newBuilder(uri).POST(BodyPublishers.noBody()).build();
    return CLIENT.sendAsync(request, BodyHandlers.discarding()).thenApply(r -> r.statusCode());
  }

  /** Lets a request for each thread count, and insert only when all of them have. */
  private static Map<Integer, Integer> race(Shop shop, long show) throws Exception {
    try (Connection connection = pool.getConnection();
        Statement statement = connection.createStatement()) {
      connection.setAutoCommit(false);
      statement.execute("LOCK TABLE shop_ticket IN SHARE MODE");
      CompletableFuture<Map<Integer, Integer>> answers =
          CompletableFuture.supplyAsync(
              () -> {
                try {
                  return stampede(shop, show, THREADS);
                } catch (Exception e) {
                  throw new IllegalStateException(e);
                }
              });
      do {
        Thread.sleep(10);
      } while (number(
              statement,
              "SELECT count(*) FROM pg_locks"
                  + " WHERE relation = 'shop_ticket'::regclass AND NOT granted")
          < THREADS);
      connection.commit();
      return answers.get();
    }
  }

  private static boolean insertAndReset(long show) throws SQLException {
    try (Connection connection = pool.getConnection();
        Statement statement = connection.createStatement()) {
      try {
        statement.execute(insertion(show));
        return true;
      } catch (SQLException e) {
        assertTrue(SoldOut.causes(e));
        return false;
      } finally {
        statement.execute("DISCARD ALL");
      }
    }
  }

  private static long createShow(int capacity) throws SQLException {
    return number(
        "INSERT INTO shop_show (title, capacity) VALUES ('Concert', " + capacity
            + ") RETURNING id");
  }

  private static String insertion(long show) {
    return "INSERT INTO shop_ticket (show_id, user_id, status) VALUES (" + show + ", 1, 'sold')";
  }

  private static void insert(long show) throws SQLException {
    execute(insertion(show));
  }

  private static long sold(long show) throws SQLException {
    return number(
        "SELECT count(*) FROM shop_ticket WHERE status <> 'cancelled' AND show_id = " + show);
  }

  private static long problems() throws SQLException {
    return number("SELECT count(*) FROM booking.verify_capacity()");
  }

  private static Show entity(long id) {
    EntityManager em = factory.createEntityManager();
    try {
      return em.find(Show.class, id);
    } finally {
      em.close();
    }
  }

  private static Ticket ticket(Show show) {
    Ticket ticket = new Ticket();
    ticket.show = show;
    ticket.userId = 1;
    return ticket;
  }

  private static void execute(String sql) throws SQLException {
    try (Connection connection = pool.getConnection();
        Statement statement = connection.createStatement()) {
      statement.execute(sql);
    }
  }

  private static long number(String sql) throws SQLException {
    try (Connection connection = pool.getConnection();
        Statement statement = connection.createStatement()) {
      return number(statement, sql);
    }
  }

  private static long number(Statement statement, String sql) throws SQLException {
    try (ResultSet rows = statement.executeQuery(sql)) {
      rows.next();
      return rows.getLong(1);
    }
  }
}
