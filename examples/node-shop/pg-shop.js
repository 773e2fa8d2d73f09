import { isSoldOut } from "./sold-out.js";

const FIND_SHOW = `
  SELECT capacity, (SELECT count(*)::int FROM shop_ticket
                    WHERE show_id = $1 AND status <> 'cancelled') AS sold
  FROM shop_show WHERE id = $1`;
const INSERT_TICKET =
  "INSERT INTO shop_ticket (show_id, user_id) VALUES ($1, $2) RETURNING id";

// The shop on node-postgres.
export class PgShop {
  constructor(pool) {
    this.pool = pool;
  }

  // Returns the ticket's id, null if the show is sold out, undefined if there is no such show.
  async sell(showId, userId) {
    // Not pool.query(): it closes the connection after an error, so each refusal would need a
    // new one.
    const client = await this.pool.connect();
    let failure;
    try {
      const found = await client.query(FIND_SHOW, [showId]);
      if (found.rowCount === 0) return undefined;
      const { capacity, sold } = found.rows[0];
      if (sold >= capacity) return null;
      const { rows } = await client.query(INSERT_TICKET, [showId, userId]);
      return Number(rows[0].id);
    } catch (error) {
      if (isSoldOut(error)) return null;
      failure = error;
      throw error;
    } finally {
      // After any other error the connection may be lost, so the pool must not lend it again.
      client.release(failure);
    }
  }
}
