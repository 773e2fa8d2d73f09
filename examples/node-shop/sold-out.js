const CONSTRAINT = "shop_ticket_show_id_capacity";

// True if the database refused a ticket because no place was left.
export function isSoldOut(error) {
  const cause = error.cause ?? error; // Drizzle wraps the error of node-postgres
  return cause.code === "23514" && cause.constraint === CONSTRAINT;
}
