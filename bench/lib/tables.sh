# shellcheck shell=bash disable=SC2153,SC2016
# tables.sh - writes the figures into the documents; sourced by bench/run.sh
#
# Every line of a table has at most 100 columns.

# The ways in the table of README.md, with their names there.
readonly README_WAYS='book_ticket insert_with_trigger client_for_update blind_insert'

readme_name()
{
	case $1 in
		book_ticket) echo '`book_ticket`' ;;
		insert_with_trigger) echo 'plain `INSERT` with the trigger' ;;
		client_for_update) echo '`SELECT FOR UPDATE` in the client' ;;
		blind_insert) echo 'blind `INSERT` (**unsafe**)' ;;
	esac
}

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

# One cell: bookings per second of a way.
rate_cell()
{
	with_commas "$(middle hot "$1" "$2" | awk '{ print $1 == "none" ? $1 : sprintf("%.0f", $1) }')"
}

# One cell: the ratio of a way to the blind INSERT, with two digits.
ratio_cell()
{
	ratio hot "$1" "$2" blind_insert | awk '{ print $1 == "none" ? $1 : sprintf("%.2f", $1) }'
}

# The same with its spread.
spread_cell()
{
	ratio hot "$1" "$2" blind_insert |
		awk '{ print $1 == "none" ? $1 : sprintf("%.2f %.2f..%.2f", $1, $2, $3) }'
}

rate_and_ratio_cell()
{
	echo "$(rate_cell "$1" "$2") ($(ratio_cell "$1" "$2"))"
}

# A row with a cell for each number of clients.
# clients_row NAME WAY CELL
clients_row()
{
	local clients

	printf '| %s |' "$1"
	for clients in $CLIENTS; do
		printf ' %s |' "$("$3" "$clients" "$2")"
	done
	echo
}

performance_table()
{
	local way

	clients_head 'bookings per second (ratio to blind `INSERT`)'
	for way in $README_WAYS; do
		clients_row "$(readme_name "$way")" "$way" rate_and_ratio_cell
	done
}

hot_tables()
{
	local way

	clients_head 'bookings per second'
	for way in $WAYS; do
		clients_row "$(way_setting "$way" name)" "$way" rate_cell
	done
	echo
	clients_head 'ratio to blind `INSERT`, least..greatest'
	for way in $WAYS; do
		clients_row "$(way_setting "$way" name)" "$way" spread_cell
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

	if [[ $ran == *' hot '* ]]; then
		echo README.md performance
		echo doc/performance.md hot
	fi
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
	while read -r file name; do
		case $name in
			performance) performance_table ;;
			hot) hot_tables ;;
			work) figures_table "$WORK_SCENARIOS" ;;
			cost) figures_table "$COST_SCENARIOS" ;;
		esac | publish "$file" "$name"
		[ "$name" != hot ] || publish_chart
	done < <(tables_of "$@")
}

publish_chart()
{
	local folder="${TABLES_TO:-$PGB_REPO}/bench"

	mkdir -p "$folder"
	cp "$RESULTS/chart.svg" "$folder/chart.svg"
}
