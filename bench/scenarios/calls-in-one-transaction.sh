# shellcheck shell=bash disable=SC2016
# calls-in-one-transaction - memory after 1,000,000 calls over 1,000 events, and the
# time of 100,000 calls on one event
#
# Both are measured in two forms: as an import does it, with a statement for each
# booking; and with one statement that calls the function for each row of a set.
# What a call leaves in memory may be freed at the end of the statement, or only at
# the end of the transaction.

# calls FIRST LAST EVENTS: print that many statements, for the events in turn.
calls()
{
	awk -v first="$1" -v last="$2" -v events="$3" \
		'BEGIN { for (i = first; i <= last; i++) printf "EXECUTE ask(%d, %d);\n", i % events + 1, i }'
}

# Run the statements that are read, in one transaction.  The script chooses by \o
# what is written to transaction.out.
in_one_transaction()
{
	{
		echo 'PREPARE ask(bigint, bigint) AS SELECT booking.book_ticket($1, $2);'
		echo 'BEGIN;'
		cat
		echo 'COMMIT;'
	} >"$PGB_DIR/transaction.sql"
	pgb_run psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$DATABASE" -f "$PGB_DIR/transaction.sql" \
		>"$PGB_DIR/transaction.out" || pgb_die "psql failed"
}

# mark STATEMENT: write its result, but not those of the calls that follow.
mark()
{
	printf '%s\n' '\o' "$1" '\o /dev/null'
}

# contexts MARK: write a line "MARK|name|bytes" for each kind of memory context.
contexts()
{
	mark "SELECT '$1', name, sum(total_bytes) FROM pg_backend_memory_contexts GROUP BY name;"
}

# memory_by_statements CALLS: write the memory after the first call for each event,
# and at the end.
memory_by_statements()
{
	echo '\o /dev/null'
	calls 1 1000 1000
	contexts before
	calls 1001 "$1" 1000
	contexts after
}

# The same within one statement, with the total of all contexts.  A PL/pgSQL function
# measures it, because a subquery would keep its first answer.  The function is
# called once before, so that what it loads is not counted.
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

# From the contexts before and after: print by how many MB all have grown, and the
# contexts that have grown most.
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

# time_by_statements CALLS: write the time before the first call, after the first
# tenth, before the last tenth, and at the end.  100 calls come before, so that the
# first tenth does not include what the session must load.
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
	target fact "$(with_commas "$3") calls in a transaction, $2: memory, MB" 1 "$grown" '<' 1 "$most"
}

# one_time FORM TITLE CALLS REPEAT: how much longer do the last tenth of the calls take
# than the first?
one_time()
{
	local slower

	prepare_way book_ticket 1000 "$PLENTY"
	in_one_transaction < <("time_by_$1" "$3")
	check_way book_ticket "$PLENTY" $(($3 + 100))
	slower=$(awk '{ at[NR] = $1 } END { printf "%.3f", (at[4] - at[3]) / (at[2] - at[1]) }' "$PGB_DIR/transaction.out")
	record calls-time "$1" 1 "$4" "$slower" "$3"
	note "repeat $4: time of the last tenth / the first, $2: $slower"
}

scenario_calls-in-one-transaction()
{
	local many=1000000 some=100000 repeat

	if [ "$QUICK" = 1 ]; then
		many=50000
		some=20000
	fi
	pgb_say "many calls in one transaction"
	one_memory statements "one per statement" "$many"
	one_memory set "in one statement" "$many"
	for repeat in $(seq "$REPEATS"); do
		one_time statements "one per statement" "$some" "$repeat"
		one_time set "in one statement" "$some" "$repeat"
	done
	target speed "$(with_commas "$some") statements: last / first tenth" 1 \
		"$(measured calls-time 1 statements)" '<=' 1.5
	target speed "1 statement, $(with_commas "$some") calls: last / first tenth" 1 \
		"$(measured calls-time 1 set)" '<=' 1.5
}
