package shop;

import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.NoSuchElementException;
import javax.sql.DataSource;

/** The shop on JDBC. */
final class JdbcShop implements Shop {
  private static final String FREE =
      "SELECT capacity > (SELECT count(*) FROM shop_ticket t"
          + " WHERE t.show_id = s.id AND t.status <> 'cancelled') FROM shop_show s WHERE id = ?";
  private static final String INSERT =
      "INSERT INTO shop_ticket (show_id, user_id) VALUES (?, ?) RETURNING id";

  private final DataSource pool;

  JdbcShop(DataSource pool) {
    this.pool = pool;
  }

  @Override
  public Long sell(long showId, long userId) throws SQLException {
    try (Connection connection = pool.getConnection();
        PreparedStatement free = connection.prepareStatement(FREE);
        PreparedStatement insert = connection.prepareStatement(INSERT)) {
      free.setLong(1, showId);
      ResultSet show = free.executeQuery();
      if (!show.next()) {
        throw new NoSuchElementException("no such show");
      }
      if (!show.getBoolean(1)) {
        return null;
      }
      insert.setLong(1, showId);
      insert.setLong(2, userId);
      ResultSet ticket = insert.executeQuery();
      ticket.next();
      return ticket.getLong(1);
    } catch (SQLException e) {
      if (SoldOut.causes(e)) {
        return null;
      }
      throw e;
    }
  }
}
