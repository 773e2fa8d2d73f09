# shellcheck shell=bash disable=SC2153,SC2016
# hot - all clients want the same event: every way, with every number of clients
#
# Shows the medians and their ratios to the blind INSERT, and draws the chart.

hot_targets()
{
	local work='hot event: `book_ticket` / blind `INSERT`'

	target_if_run hot 1 book_ticket blind_insert 1.00 "$work"
	target_if_run hot 8 book_ticket blind_insert 1.00 "$work"
	target_if_run hot 32 book_ticket blind_insert 1.00 "$work"
	target_if_run hot 128 book_ticket blind_insert 0.97 "$work"
	target_if_run hot 32 insert_with_trigger blind_insert 0.95 \
		'hot event: plain `INSERT` / blind `INSERT`'
	target_if_run hot 32 book_ticket one_statement 8.5 'hot event: `book_ticket` / one SQL statement'
	target_if_run hot 128 book_ticket one_statement 15 'hot event: `book_ticket` / one SQL statement'
	target_if_run hot 32 book_ticket advisory_lock 5 'hot event: `book_ticket` / advisory lock'
}

scenario_hot()
{
	pgb_say "one hot event: every way and number of clients, $REPEATS times"
	# shellcheck disable=SC2086
	compare_ways hot blind_insert $WAYS
	hot_targets
	# shellcheck disable=SC2086
	draw_chart hot chart 'One hot event: bookings per second' $WAYS
}
