-- At most N tickets for each show, as README.md adds it.

SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}',
    capacity_table => 'shop_show', capacity_column => 'capacity',
    condition => $$status <> 'cancelled'$$);

VACUUM (ANALYZE) shop_show, shop_ticket, booking.shop_ticket_show_id_capacity;
