# The calls that the load makes (Faults::Load).

package Faults::Calls;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT_OK = qw(%CALL);

# The calls by name, each a hash:
#
#	weight       how often the call is made
#	shop         1: it is about a show (Faults::Shop), and not about an event
#	about        whom or what it is about: "new" (a user who has nothing yet), "event"
#	             (or show), or a "ticket" or "hold" (a basket of the shop) that a user has
#	gives        what the ids are that it returns: "ticket" or "hold"
#	most         the largest quantity (default: 1)
#	effect       how one unit changes live tickets, cancelled tickets and held places
#	key          1: it can have an idempotency key
#	partial      1: it may give fewer units than were asked for
#	one_row      1: all its units are in one row, so it returns one id
#	copy         1: it is a COPY; it returns no ids
#	nothing      1: it must return no row
#	like_several 1: like a transaction of several calls, it can be in a deadlock
#	sql          the statement, with the fields of the call as named parameters.  It
#	             returns the ids that it gives
our %CALL = (
	book => {
		weight => 10, about => 'new', gives => 'ticket', effect => [ 1, 0, 0 ], key => 1,
		sql => 'SELECT booking.book_ticket(:event, :user, :key)',
	},
	try_book => {
		weight => 10, about => 'new', gives => 'ticket', effect => [ 1, 0, 0 ], key => 1,
		sql => 'SELECT ticket_id FROM booking.try_book_ticket(:event, :user, :key)',
	},
	book_several => {
		weight => 5, about => 'new', gives => 'ticket', most => 5, effect => [ 1, 0, 0 ], key => 1,
		sql => 'SELECT unnest(booking.book_tickets(:event, :user, :quantity, :key))',
	},
	insert => {
		weight => 10, about => 'new', gives => 'ticket', effect => [ 1, 0, 0 ],
		sql => 'INSERT INTO booking.ticket (event_id, user_id) VALUES (:event, :user) RETURNING ticket_id',
	},
	insert_several => {
		weight => 3, about => 'new', gives => 'ticket', most => 4, effect => [ 1, 0, 0 ], like_several => 1,
		sql => 'INSERT INTO booking.ticket (event_id, user_id)'
		  . ' SELECT :event, :user FROM generate_series(1, :quantity) RETURNING ticket_id',
	},
	batch => {
		weight => 3, about => 'new', gives => 'ticket', most => 6, effect => [ 1, 0, 0 ], partial => 1,
		sql => 'SELECT ticket_id FROM booking.book_batch(:event,'
		  . ' array_fill(:user::bigint, ARRAY[:quantity::integer])) WHERE ticket_id IS NOT NULL',
	},
	hold => {
		weight => 10, about => 'new', gives => 'hold', most => 3, effect => [ 0, 0, 1 ], key => 1, one_row => 1,
		sql => 'SELECT hold_id FROM booking.hold_tickets(:event, :user, :quantity, NULL, :key)',
	},
	confirm => {
		weight => 8, about => 'hold', gives => 'ticket', effect => [ 1, 0, -1 ],
		sql => 'SELECT unnest(booking.confirm_hold(:hold))',
	},
	release => { weight => 3, about => 'hold', sql => 'SELECT 0 WHERE booking.release_hold(:hold)', effect => [ 0, 0, -1 ] },
	end_hold => {
		weight => 1, about => 'hold', effect => [ 0, 0, -1 ],
		sql => 'UPDATE booking.hold SET ended_at = clock_timestamp()'
		  . ' WHERE hold_id = :hold AND ended_at IS NULL RETURNING 0',
	},
	extend => { weight => 1, about => 'hold', sql => q{SELECT 0 FROM booking.extend_hold(:hold, '40 ms')}, effect => [ 0, 0, 0 ] },
	cancel => { weight => 4, about => 'ticket', sql => 'SELECT 0 WHERE booking.cancel_ticket(:ticket)', effect => [ -1, 1, 0 ] },
	update => {
		weight => 2, about => 'ticket', effect => [ -1, 1, 0 ],
		sql => 'UPDATE booking.ticket SET cancelled_at = clock_timestamp()'
		  . ' WHERE ticket_id = :ticket AND cancelled_at IS NULL RETURNING 0',
	},
	delete => { weight => 2, about => 'ticket', sql => 'DELETE FROM booking.ticket WHERE ticket_id = :ticket RETURNING 0', effect => [ -1, 0, 0 ] },
	transfer => { weight => 2, about => 'ticket', sql => 'SELECT 0 FROM booking.transfer_ticket(:ticket, :other)', effect => [ 0, 0, 0 ] },
	redeem => { weight => 1, about => 'ticket', sql => 'SELECT 0 FROM booking.redeem_ticket(:ticket)', effect => [ 0, 0, 0 ] },
	grow => {
		weight => 0.3, about => 'event', effect => [ 0, 0, 0 ],
		sql => 'UPDATE booking.event SET capacity = capacity + 3 WHERE event_id = :event RETURNING 0',
	},
	shrink => {
		weight => 0.3, about => 'event', effect => [ 0, 0, 0 ],
		sql => 'UPDATE booking.event SET capacity = greatest(capacity - 2, 0) WHERE event_id = :event RETURNING 0',
	},
	sweep => { weight => 0.5, about => 'event', sql => 'SELECT 0 FROM booking.expire_holds(5)', effect => [ 0, 0, 0 ] },
	look => { weight => 2, about => 'event', sql => 'SELECT 0 FROM booking.availability(:event)', effect => [ 0, 0, 0 ] },
	verify => {
		weight => 0.2, about => 'event', effect => [ 0, 0, 0 ], nothing => 1,
		sql => 'SELECT problem FROM booking.verify(:event)',
	},

	# ---- the shop ----

	shop_insert => {
		shop => 1, weight => 10, about => 'new', gives => 'ticket', effect => [ 1, 0, 0 ],
		sql => 'INSERT INTO shop_ticket (show_id, user_id) VALUES (:event, :user) RETURNING id',
	},
	# (DO UPDATE, so that a request that is repeated returns its ticket.)
	shop_request => {
		shop => 1, weight => 8, about => 'new', gives => 'ticket', effect => [ 1, 0, 0 ], key => 1,
		sql => 'INSERT INTO shop_ticket (show_id, user_id, request) VALUES (:event, :user, :key)'
		  . ' ON CONFLICT (request) DO UPDATE SET request = excluded.request RETURNING id',
	},
	shop_insert_several => {
		shop => 1, weight => 5, about => 'new', gives => 'ticket', most => 4, effect => [ 1, 0, 0 ],
		sql => 'INSERT INTO shop_ticket (show_id, user_id)'
		  . ' SELECT :event::bigint, :user::bigint FROM generate_series(1, :quantity::integer) RETURNING id',
	},
	shop_copy => {
		shop => 1, weight => 4, about => 'new', most => 5, effect => [ 1, 0, 0 ], copy => 1,
		sql => 'COPY shop_ticket (show_id, user_id) FROM STDIN',
	},
	shop_basket => {
		shop => 1, weight => 10, about => 'new', gives => 'hold', most => 3, effect => [ 0, 0, 1 ], one_row => 1,
		sql => 'INSERT INTO shop_ticket (show_id, user_id, places, status, expires_at)'
		  . q{ SELECT id, :user::bigint, :quantity::integer, 'basket', clock_timestamp() + basket_ttl}
		  . ' FROM shop_show WHERE id = :event RETURNING id',
	},
	shop_pay => {
		shop => 1, weight => 8, about => 'hold', gives => 'ticket', effect => [ 1, 0, -1 ], one_row => 1,
		sql => q{UPDATE shop_ticket SET status = 'sold', expires_at = NULL}
		  . q{ WHERE id = :hold AND status = 'basket' RETURNING id},
	},
	shop_release => {
		shop => 1, weight => 3, about => 'hold', effect => [ 0, 0, -1 ],
		sql => q{DELETE FROM shop_ticket WHERE id = :hold AND status = 'basket' RETURNING 0},
	},
	shop_extend => {
		shop => 1, weight => 1, about => 'hold', effect => [ 0, 0, 0 ],
		sql => q{UPDATE shop_ticket SET expires_at = greatest(expires_at, clock_timestamp() + interval '40 ms')}
		  . q{ WHERE id = :hold AND status = 'basket' RETURNING 0},
	},
	shop_cancel => {
		shop => 1, weight => 6, about => 'ticket', effect => [ -1, 1, 0 ],
		sql => q{UPDATE shop_ticket SET status = 'cancelled' WHERE id = :ticket AND status = 'sold' RETURNING 0},
	},
	shop_delete => {
		shop => 1, weight => 3, about => 'ticket', effect => [ -1, 0, 0 ],
		sql => 'DELETE FROM shop_ticket WHERE id = :ticket RETURNING 0',
	},
	shop_grow => {
		shop => 1, weight => 0.3, about => 'event', effect => [ 0, 0, 0 ],
		sql => 'UPDATE shop_show SET capacity = capacity + 3 WHERE id = :event RETURNING 0',
	},
	shop_shrink => {
		shop => 1, weight => 0.3, about => 'event', effect => [ 0, 0, 0 ],
		sql => 'UPDATE shop_show SET capacity = capacity - 2 WHERE id = :event RETURNING 0',
	},
	shop_sweep => {
		shop => 1, weight => 0.5, about => 'event', effect => [ 0, 0, 0 ],
		sql => q{SELECT 0 FROM booking.expire_rows('shop_ticket_show_id_capacity', 5)},
	},
	shop_look => {
		shop => 1, weight => 2, about => 'event', effect => [ 0, 0, 0 ],
		sql => q{SELECT 0 FROM booking.places_left('shop_ticket_show_id_capacity', :event::bigint)},
	},
	shop_verify => {
		shop => 1, weight => 0.2, about => 'event', effect => [ 0, 0, 0 ], nothing => 1,
		sql => 'SELECT problem FROM booking.verify_capacity()',
	},
);

1;
