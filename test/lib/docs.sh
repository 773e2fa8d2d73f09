#!/bin/bash
#
# docs.sh - puts figures into the documents, for the scripts that measure them.
#
# Sourced by scripts that run from the checkout:
#
#	check_table doc/testing.md faults	# fails at once if the table has no place
#	describe_machine "$PGB_DIR"
#	print_rows | publish doc/testing.md faults
#
# Only a full run of a script writes into the documents.  If the variable TABLES_TO
# names a folder, every run writes, but into the files below that folder.

DOCS_LIB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly DOCS_LIB

# The paragraph that goes with every table.
MEASURED_ON=''

# The script may go to another folder before it writes.
[ -z "${TABLES_TO:-}" ] || TABLES_TO=$(cd "$TABLES_TO" && pwd) || exit 1
export TABLES_TO=${TABLES_TO:-}

# check_table FILE NAME: fail if the file has no place for the table.
check_table()
{
	"$DOCS_LIB/fill_table.sh" --check "$1" "$2"
}

# publish FILE NAME: put the table that is read, and what it was measured on, into
# a document.
publish()
{
	{
		cat
		printf '\n%s\n' "$MEASURED_ON"
	} | "$DOCS_LIB/fill_table.sh" "$1" "$2"
	echo "==> figures: $1, table \"$2\""
}

# The milliseconds of one flush to the disk that a folder lies on: the mean time to
# write 8 kB again in a file that has its blocks already, as PostgreSQL does with its
# WAL.  (With dsync, each write of dd's is on disk before the next begins.)
flush_milliseconds()
{
	local file flushes=500

	file=$(mktemp "$1/flush.XXXXXX")
	dd if=/dev/zero of="$file" bs=8k count="$flushes" conv=fsync 2>/dev/null
	LC_ALL=C dd if=/dev/zero of="$file" bs=8k count="$flushes" conv=notrunc oflag=dsync 2>&1 |
		awk -v flushes="$flushes" '/copied/ {
			sub(/^.*copied, /, "")
			printf "%.2f\n", 1000 * $1 / flushes
		}'
	rm "$file"
}

# describe_machine FOLDER: set MEASURED_ON to the date, the version of PostgreSQL,
# the processor, and the speed of the disk that the folder lies on.
describe_machine()
{
	local major config cores model

	major=$("$DOCS_LIB/../setup.sh" --pg-major)
	config=${PG_CONFIG:-/usr/lib/postgresql/$major/bin/pg_config}
	cores=$(nproc)
	if [ "$cores" -eq 1 ]; then
		cores='1 core'
	else
		cores="$cores cores"
	fi
	model=$(LC_ALL=C lscpu | sed -n 's/^Model name: *//p' | head -n 1)
	MEASURED_ON=$(printf 'Measured on %s: %s, %s of %s, %s ms for a flush to disk.\n' \
		"$(date -u +%F)" "$("$config" --version | sed -E 's/^(PostgreSQL [^ ]+).*/\1/')" \
		"$cores" "${model:-an unknown processor}" "$(flush_milliseconds "$1")" | fmt -w 99)
}

# With commas: 1234567 as 1,234,567.  What is no whole number stays as it is.
with_commas()
{
	sed -E ':again; s/^([0-9]+)([0-9]{3})\b/\1,\2/; t again' <<<"$1"
}
