# shellcheck shell=bash
# inventory-size - how large the inventory is after 1,000,000 bookings of one event
#
# Each booking leaves a dead row version, and so does each split and drain.  With
# autovacuum on, they must not accumulate, and a sold-out event must be one row
# again.

scenario_inventory-size()
{
	local places=1000000 size table rows work='bookings of one event: inventory'

	[ "$QUICK" = 0 ] || places=50000
	pgb_say "the inventory after $places bookings of one event by 32 clients, autovacuum on"
	[ "$(query 'SHOW autovacuum')" = on ] || pgb_die "autovacuum is off"
	sell_out "$places"
	size=$(query "SELECT round(pg_total_relation_size('booking.inventory') / 1048576.0, 3)")
	table=$(query "SELECT round(pg_relation_size('booking.inventory') / 1048576.0, 3)")
	rows=$(query "SELECT count(*) FROM booking.inventory WHERE event_id = 1")
	[ "$rows" -ge 1 ] || broken "the sold-out event has no row in the inventory"
	target fact "$(with_commas "$places") $work in MB, with indexes" 32 "$size" '<=' 4 \
		"the table alone: $table"
	target fact "$(with_commas "$places") $work rows of that event" 32 "$rows" '<=' 1 \
		"at most $MOST_STRIPES while it sold"
}
