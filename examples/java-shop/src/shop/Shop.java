package shop;

/** Sells tickets. */
interface Shop {
  /** Returns the ticket's id, or null if the show is sold out. */
  Long sell(long showId, long userId) throws Exception;
}
