package shop;

import org.postgresql.util.PSQLException;

/** Recognizes the refusal of a ticket because no place is left. */
final class SoldOut {
  private static final String CONSTRAINT = "shop_ticket_show_id_capacity";

  private SoldOut() {}

  /** True if the error, or one that caused it, is this refusal. JPA wraps the driver's error. */
  static boolean causes(Throwable error) {
    for (Throwable cause = error; cause != null; cause = cause.getCause()) {
      if (cause instanceof PSQLException) {
        PSQLException refusal = (PSQLException) cause;
        return "23514".equals(refusal.getSQLState())
            && CONSTRAINT.equals(refusal.getServerErrorMessage().getConstraint());
      }
    }
    return false;
  }
}
