package shop;

/** Sells tickets. */
interface Shop {
  /**
   * Returns the ticket's id, or null if the show is sold out. Throws NoSuchElementException if
   * there is no such show.
   */
  Long sell(long showId, long userId) throws Exception;
}
