package shop;

import java.util.NoSuchElementException;
import javax.persistence.EntityManager;
import javax.persistence.EntityManagerFactory;
import javax.persistence.PersistenceException;

/** The shop on JPA. */
final class JpaShop implements Shop {
  private static final String SOLD =
      "SELECT COUNT(t) FROM Ticket t WHERE t.show = :show AND t.status <> 'cancelled'";

  private final EntityManagerFactory factory;

  JpaShop(EntityManagerFactory factory) {
    this.factory = factory;
  }

  @Override
  public Long sell(long showId, long userId) {
    EntityManager em = factory.createEntityManager();
    try {
      em.getTransaction().begin();
      Show show = em.find(Show.class, showId);
      if (show == null) {
        throw new NoSuchElementException("no such show");
      }
      long sold =
          em.createQuery(SOLD, Long.class).setParameter("show", show).getSingleResult();
      if (sold >= show.capacity) {
        return null;
      }
      Ticket ticket = new Ticket();
      ticket.show = show;
      ticket.userId = userId;
      em.persist(ticket);
      em.getTransaction().commit();
      return ticket.id;
    } catch (PersistenceException e) {
      if (SoldOut.causes(e)) {
        return null;
      }
      throw e;
    } finally {
      if (em.getTransaction().isActive()) {
        em.getTransaction().rollback();
      }
      em.close();
    }
  }
}
