import { and, eq, ne } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";

import { show, ticket } from "./schema.js";
import { isSoldOut } from "./sold-out.js";

// The shop on Drizzle.
export class DrizzleShop {
  constructor(pool) {
    this.db = drizzle(pool);
  }

  // Returns the ticket's id, null if the show is sold out, undefined if there is no such show.
  async sell(showId, userId) {
    const [found] = await this.db
      .select()
      .from(show)
      .where(eq(show.id, showId));
    if (!found) return undefined;
    const live = and(eq(ticket.showId, showId), ne(ticket.status, "cancelled"));
    if ((await this.db.$count(ticket, live)) >= found.capacity) return null;
    return await insertTicket(this.db, showId, userId);
  }

  // Sells a ticket of each show that has one, in one transaction.
  async sellEach(showIds, userId) {
    return await this.db.transaction(async (tx) => {
      const ids = [];
      for (const showId of showIds) {
        const id = await insertTicket(tx, showId, userId);
        if (id !== null) ids.push(id);
      }
      return ids;
    });
  }
}

// The transaction also keeps the connection: without one, node-postgres closes it after an error.
// In another transaction, it is a savepoint.
async function insertTicket(db, showId, userId) {
  try {
    return await db.transaction(async (tx) => {
      const rows = await tx
        .insert(ticket)
        .values({ showId, userId })
        .returning({ id: ticket.id });
      return rows[0].id;
    });
  } catch (error) {
    if (isSoldOut(error)) return null;
    throw error;
  }
}
