# shellcheck shell=bash
# inventory-size - what the inventory has grown to after 1,000,000 bookings of one event, autovacuum on
#
# Each booking leaves a dead row, and so do splits and drains: they must not pile
# up, and a sold-out event must be one row again.

scenario_inventory-size()
{
	local places=1000000 size table rows

	[ "$QUICK" = 0 ] || places=50000
	pgb_say "the inventory after $places bookings of one event by 32 clients, autovacuum on"
	[ "$(query 'SHOW autovacuum')" = on ] || pgb_die "autovacuum is off"
	sell_out "$places"
	size=$(query "SELECT round(pg_total_relation_size('booking.inventory') / 1048576.0, 3)")
	table=$(query "SELECT round(pg_relation_size('booking.inventory') / 1048576.0, 3)")
	rows=$(query "SELECT count(*) FROM booking.inventory WHERE event_id = 1")
	[ "$rows" -ge 1 ] || broken "the sold-out event has no row in the inventory"
	target fact "inventory after $places bookings: MB, its indexes included" "$size" '<=' 4 \
		"the table alone: $table"
	target fact "inventory after $places bookings: rows of the sold-out event" "$rows" '<=' 1 \
		"at most $MOST_STRIPES while it sold"
}
