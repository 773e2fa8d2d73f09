# shellcheck shell=bash
# calls-in-one-transaction - 1,000,000 calls over 1,000 events: memory; 100,000 on one event: time
#
# Both as an import does it, a statement for each booking, and as one statement that
# calls the function for each row of a set: what a call leaves behind may be freed at
# the statement's end, or only at the transaction's.

# calls FIRST LAST EVENTS: that many statements, over so many events in turn.
calls()
{
	awk -v first="$1" -v last="$2" -v events="$3" \
		'BEGIN { for (i = first; i <= last; i++) printf "EXECUTE ask(%d, %d);\n", i % events + 1, i }'
}

# Runs the statements that it reads in one transaction; what \o lets through goes to
# transaction.out.
in_one_transaction()
{
	{
		# shellcheck disable=SC2016
		echo 'PREPARE ask(bigint, bigint) AS SELECT booking.book_ticket($1, $2);'
		echo 'BEGIN;'
		cat
		echo 'COMMIT;'
	} >"$PGB_DIR/transaction.sql"
	pgb_run psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$DATABASE" -f "$PGB_DIR/transaction.sql" \
		>"$PGB_DIR/transaction.out" || pgb_die "psql failed"
}

# mark STATEMENT: its result is printed, that of the calls that follow is not.
mark()
{
	printf '%s\n' '\o' "$1" '\o /dev/null'
}

# contexts MARK: a line "MARK|name|bytes" for each kind of memory context.
contexts()
{
	mark "SELECT '$1', name, sum(total_bytes) FROM pg_backend_memory_contexts GROUP BY name;"
}

# memory_by_statements CALLS: what memory is taken after the first pass over the
# events, and at the end.
memory_by_statements()
{
	echo '\o /dev/null'
	calls 1 1000 1000
	contexts before
	calls 1001 "$1" 1000
	contexts after
}

# The same within one statement, all contexts together.  (A function in PL/pgSQL looks
# anew at each call; a subquery would keep its first answer.  Its own first call comes
# before, for what it loads is not to be counted.)
memory_by_set()
{
	cat <<-SQL
		CREATE FUNCTION pg_temp.memory_taken() RETURNS numeric LANGUAGE plpgsql
		AS 'BEGIN RETURN (SELECT sum(total_bytes) FROM pg_backend_memory_contexts); END';
		\\o /dev/null
		SELECT pg_temp.memory_taken();
		\\o
		SELECT CASE call WHEN 1000 THEN 'before' ELSE 'after' END, 'all', bytes
		FROM (
			SELECT call, booking.book_ticket((call % 1000 + 1)::bigint, call::bigint) AS ticket,
				CASE WHEN call IN (1000, $1) THEN pg_temp.memory_taken() END AS bytes
			FROM generate_series(1, $1) AS call
			OFFSET 0
		) AS calls
		WHERE bytes IS NOT NULL;
	SQL
}

# From the contexts before and after: by how many MB they grew, and which grew most.
growth()
{
	awk -F'|' '
		{ grown[$2] += ($1 == "after" ? $3 : -$3) / 1048576 }
		END {
			for (name in grown)
				sum += grown[name]
			printf "%.3f", sum
			for (name in grown)
				if (grown[name] >= 0.1)
					printf " %s %.3f", name, grown[name]
			print ""
		}'
}

# time_by_statements CALLS: the time before the first call, after a tenth of them,
# before the last tenth, and after all.  100 more come before, so that the first
# tenth does not pay for what the session must load.
time_by_statements()
{
	local count=$1 now='SELECT extract(epoch FROM clock_timestamp());'

	echo '\o /dev/null'
	calls 1 100 1
	mark "$now"
	calls 1 $((count / 10)) 1
	mark "$now"
	calls $((count / 10 + 1)) $((count - count / 10)) 1
	mark "$now"
	calls $((count - count / 10 + 1)) "$count" 1
	mark "$now"
}

time_by_set()
{
	cat <<-SQL
		WITH calls AS MATERIALIZED (
			SELECT call, booking.book_ticket(1::bigint, call::bigint) AS ticket, clock_timestamp() AS at
			FROM generate_series(-99, $1) AS call
		)
		SELECT extract(epoch FROM at) FROM calls
		WHERE call IN (0, $1 / 10, $1 - $1 / 10, $1)
		ORDER BY call;
	SQL
}

# one_memory FORM TITLE CALLS
one_memory()
{
	local grown most

	prepare_way book_ticket 1000 "$PLENTY"
	in_one_transaction < <("memory_by_$1" "$3")
	check_way book_ticket "$PLENTY" "$3"
	read -r grown most < <(growth <"$PGB_DIR/transaction.out")
	target fact "$3 calls over 1,000 events in one transaction, $2: memory grows by MB" "$grown" '<' 1 "$most"
}

# one_time FORM TITLE CALLS
one_time()
{
	local slower

	prepare_way book_ticket 1000 "$PLENTY"
	in_one_transaction < <("time_by_$1" "$3")
	check_way book_ticket "$PLENTY" $(($3 + 100))
	slower=$(awk '{ at[NR] = $1 } END { printf "%.3f", (at[4] - at[3]) / (at[2] - at[1]) }' "$PGB_DIR/transaction.out")
	target speed "$3 calls on one event in one transaction, $2: time of the last tenth / the first" "$slower" '<=' 1.5
}

scenario_calls-in-one-transaction()
{
	local many=1000000 some=100000

	if [ "$QUICK" = 1 ]; then
		many=50000
		some=20000
	fi
	pgb_say "many calls in one transaction"
	one_memory statements "a statement each" "$many"
	one_memory set "one statement" "$many"
	one_time statements "a statement each" "$some"
	one_time set "one statement" "$some"
}
