CREATE EXTENSION IF NOT EXISTS pg_booking;
--> statement-breakpoint
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}',
    capacity_table => 'shop_show', capacity_column => 'capacity',
    condition => $$status <> 'cancelled'$$);
