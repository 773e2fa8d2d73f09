# shellcheck shell=bash disable=SC2034
# sale.sh - sell an event out, as a sale does; sourced by bench/run.sh

# The greatest number of stripes that was seen during the last sell_out.
MOST_STRIPES=0

# Counts event 1's stripes again and again, as long as the file "selling" is there.
watch_stripes()
{
	while [ -e "$PGB_DIR/selling" ]; do
		echo 'SELECT count(*) FROM booking.inventory WHERE event_id = 1;'
		sleep 0.05
	done | sql >"$PGB_DIR/stripes"
}

# sell_out PLACES: in a new database, event 1 is sold to the last place by 32
# clients, who then are refused some 100 times each.
sell_out()
{
	local places=$1 watcher

	prepare_way try_book_ticket "$SHOP_EVENTS" "$places"
	touch "$PGB_DIR/selling"
	watch_stripes &
	watcher=$!
	run_way try_book_ticket 32 -t $((places / 32 + 100)) -D events=1
	rm "$PGB_DIR/selling"
	wait "$watcher" || pgb_die "counting stripes failed"
	MOST_STRIPES=$(sort -n "$PGB_DIR/stripes" | tail -n 1)
	check_way try_book_ticket "$places" "$places"
}
