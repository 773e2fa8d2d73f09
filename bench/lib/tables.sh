# shellcheck shell=bash disable=SC2153,SC2016
# tables.sh - writes the figures into the documents; sourced by bench/run.sh
#
# Every line of a table has at most 100 columns.

# The head of a table with a column for each number of clients.
# clients_head TITLE
clients_head()
{
	local clients

	printf '| %s |' "$1"
	for clients in $CLIENTS; do
		printf ' %s client%s |' "$clients" "$([ "$clients" -eq 1 ] || echo s)"
	done
	printf '\n|---|'
	for clients in $CLIENTS; do
		printf '%s' '--:|'
	done
	echo
}

# One cell: transactions per second of a way.
# rate_cell SCENARIO REFERENCE CLIENTS WAY
rate_cell()
{
	with_commas "$(middle "$1" "$3" "$4" | awk '{ print $1 == "none" ? $1 : sprintf("%.0f", $1) }')"
}

# One cell: the ratio of a way to the reference, with two digits.
ratio_cell()
{
	ratio "$1" "$3" "$4" "$2" | awk '{ print $1 == "none" ? $1 : sprintf("%.2f", $1) }'
}

# The same with its spread.
spread_cell()
{
	ratio "$1" "$3" "$4" "$2" |
		awk '{ print $1 == "none" ? $1 : sprintf("%.2f %.2f..%.2f", $1, $2, $3) }'
}

rate_and_ratio_cell()
{
	echo "$(rate_cell "$@") ($(ratio_cell "$@"))"
}

# A row with a cell for each number of clients.
# clients_row NAME CELL SCENARIO REFERENCE WAY
clients_row()
{
	local name=$1 cell=$2 scenario=$3 reference=$4 way=$5 clients

	printf '| %s |' "$name"
	for clients in $CLIENTS; do
		printf ' %s |' "$("$cell" "$scenario" "$reference" "$clients" "$way")"
	done
	echo
}

# The table of README.md: each safe way with its ratio to the unsafe one.
performance_table()
{
	clients_head 'rows per second (ratio to the unsafe way)'
	clients_row 'your `INSERT` with a capacity constraint' rate_and_ratio_cell \
		capacity unprotected capacity_constraint
	clients_row 'with a trigger that locks and counts' rate_and_ratio_cell \
		capacity unprotected trigger_lock_and_count
	clients_row 'with neither (**unsafe**)' rate_cell capacity unprotected unprotected
	clients_row '`book_ticket`' rate_and_ratio_cell hot blind_insert book_ticket
	clients_row 'blind `INSERT` of its ticket (**unsafe**)' rate_cell \
		hot blind_insert blind_insert
}

# Two tables of some ways: transactions per second, and ratios to the reference.
# ways_tables HEAD SCENARIO REFERENCE WAY ...
ways_tables()
{
	local head=$1 scenario=$2 reference=$3 way

	shift 3
	clients_head "$head"
	for way in "$@"; do
		clients_row "$(way_setting "$way" name)" rate_cell "$scenario" "$reference" "$way"
	done
	echo
	clients_head "ratio to $(way_setting "$reference" name), least..greatest"
	for way in "$@"; do
		clients_row "$(way_setting "$way" name)" spread_cell "$scenario" "$reference" "$way"
	done
}

# figures_table SCENARIOS: the figures of these scenarios.
figures_table()
{
	awk -f "$BENCH/lib/csv.awk" -f "$BENCH/lib/figures.awk" -v scenarios="$1" "$RESULTS/figures.csv"
}

# The tables that a run of these scenarios fills, as "FILE NAME", a line each.
# tables_of SCENARIO ...
tables_of()
{
	local ran=" $* "

	[[ $ran != *' hot '* ]] || echo doc/performance.md hot
	[[ $ran != *' capacity '* ]] || echo doc/performance.md capacity
	if [[ $ran == *' hot '* && $ran == *' capacity '* ]]; then
		echo README.md performance
	fi
	[[ $ran != *' router '* ]] || echo doc/shards.md router
	! ran_all "$ran" "$WORK_SCENARIOS" || echo doc/performance.md work
	! ran_all "$ran" "$COST_SCENARIOS" || echo doc/performance.md cost
}

# True if all scenarios of a list were run; with TABLES_TO, one of them is enough.
# ran_all RAN LIST
ran_all()
{
	local scenario missing=0 found=0

	for scenario in $2; do
		if [[ $1 == *" $scenario "* ]]; then
			found=1
		else
			missing=1
		fi
	done
	[ "$found" -eq 1 ] && { [ "$missing" -eq 0 ] || [ -n "$TABLES_TO" ]; }
}

# True if this run writes into documents.
writes_tables()
{
	is_full_run || [ -n "$TABLES_TO" ]
}

# Before hours of work: fail if a table has no place.
# check_tables SCENARIO ...
check_tables()
{
	local file name

	writes_tables || return 0
	while read -r file name; do
		check_table "$file" "$name"
	done < <(tables_of "$@")
}

# Write all tables that these scenarios fill, and the chart.
# publish_tables SCENARIO ...
publish_tables()
{
	local file name

	writes_tables || return 0
	# shellcheck disable=SC2086
	while read -r file name; do
		case $name in
			performance) performance_table ;;
			hot) ways_tables 'bookings per second' hot blind_insert $WAYS ;;
			capacity) ways_tables 'rows per second' capacity unprotected $CAPACITY_WAYS ;;
			router) figures_table router ;;
			work) figures_table "$WORK_SCENARIOS" ;;
			cost) figures_table "$COST_SCENARIOS" ;;
		esac | publish "$file" "$name"
		case $name in
			hot) publish_chart chart ;;
			capacity) publish_chart chart-capacity ;;
		esac
	done < <(tables_of "$@")
}

# publish_chart NAME
publish_chart()
{
	local folder="${TABLES_TO:-$PGB_REPO}/bench"

	mkdir -p "$folder"
	cp "$RESULTS/$1.svg" "$folder/$1.svg"
}
