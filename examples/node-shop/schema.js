import {
  bigint,
  bigserial,
  index,
  integer,
  pgTable,
  text,
} from "drizzle-orm/pg-core";

export const show = pgTable("shop_show", {
  id: bigserial("id", { mode: "number" }).primaryKey(),
  title: text("title").notNull(),
  capacity: integer("capacity").notNull(),
});

export const ticket = pgTable(
  "shop_ticket",
  {
    id: bigserial("id", { mode: "number" }).primaryKey(),
    showId: bigint("show_id", { mode: "number" })
      .notNull()
      .references(() => show.id),
    userId: bigint("user_id", { mode: "number" }).notNull(),
    status: text("status").notNull().default("sold"),
  },
  (t) => [index("shop_ticket_show_id_idx").on(t.showId)],
);
