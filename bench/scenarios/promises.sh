# shellcheck shell=bash
# promises - does each way keep its promises?  32 clients ask for 640 of 300 places
#
# A way that is fast because it loses tickets or sells too many is no rival.  Each
# safe way must sell exactly the capacity.  The blind INSERT must oversell, because
# otherwise this check would notice nothing.

readonly PROMISES_PLACES=300

# Print the number of tickets that a way has sold, in the table that it uses.
tickets_sold()
{
	query "SELECT count(user_id) FROM $(query "SELECT
		coalesce(to_regclass('shop.ticket'), to_regclass('shop_ticket'), 'booking.ticket')")"
}

scenario_promises()
{
	local way sold

	pgb_say "promises: $PROMISES_PLACES places, 32 clients ask for 640"
	for way in $WAYS $CAPACITY_WAYS; do
		prepare_way "$way" 1 "$PROMISES_PLACES"
		# For some ways "sold out" is an error, which ends a client.
		SOLD_OUT_ENDS=yes run_way "$way" 32 -t 20 -D events=1
		sold=$(tickets_sold)
		note "$(printf '%3s sold  %s' "$sold" "$(way_setting "$way" title)")"
		if is_safe "$way"; then
			check_way "$way" "$PROMISES_PLACES" "$PROMISES_PLACES"
		elif [ "$sold" -le "$PROMISES_PLACES" ]; then
			pgb_die "$way did not oversell: this check notices nothing"
		fi
	done
}
