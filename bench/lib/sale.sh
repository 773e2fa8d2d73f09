# shellcheck shell=bash disable=SC2034
# sale.sh - sells an event to its last place; sourced by bench/run.sh

# The largest number of stripes that was seen during the last sell_out.
MOST_STRIPES=0

# Count event 1's stripes again and again, while the file "selling" exists.
watch_stripes()
{
	while [ -e "$PGB_DIR/selling" ]; do
		echo 'SELECT count(*) FROM booking.inventory WHERE event_id = 1;'
		sleep 0.05
	done | sql >"$PGB_DIR/stripes"
}

# sell_out PLACES: in a new database, 32 clients buy all places of event 1.  Each
# client asks about 100 times more after that, and is refused.
sell_out()
{
	local places=$1 watcher

	prepare_way try_book_ticket "$SHOP_EVENTS" "$places"
	touch "$PGB_DIR/selling"
	watch_stripes &
	watcher=$!
	run_way try_book_ticket 32 -t $((places / 32 + 100)) -D events=1
	rm "$PGB_DIR/selling"
	wait "$watcher" || pgb_die "the stripes could not be counted"
	MOST_STRIPES=$(sort -n "$PGB_DIR/stripes" | tail -n 1)
	check_way try_book_ticket "$places" "$places"
}
