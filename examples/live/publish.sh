#!/bin/bash
#
# publish.sh - sends the state of a sale to nginx once a second, which sends it to all
# viewers.
#
# usage: publish.sh EVENT_ID SOCKET
#
# It connects to the database that the variables of libpq name (PGHOST and so on), and
# to the unix socket at which nginx takes messages.  One psql and one curl do all the
# work: to start them again each second would cost the sale more than 1,000 viewers do.

set -euo pipefail

set -m		# each job is a process group, so that all of its processes can be ended

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
FOLDER=$(mktemp -d)

# End all jobs, and remove the folder.
stop()
{
	local job

	trap '' HUP INT TERM
	for job in $(jobs -p); do
		kill -TERM -- "-$job" 2>/dev/null || true
	done
	wait
	rm -rf "$FOLDER"
}

trap stop EXIT
trap 'exit 143' HUP INT TERM
trap '' PIPE
mkfifo "$FOLDER/message"

# Print the query once a second, for psql.
ask()
{
	local query

	query=$(<"$HERE/sale.sql")
	while true; do
		echo "$query" || return
		sleep 1
	done
}

# Hand each line to curl.  If curl is not there, the line waits.
hand_over()
{
	local line

	while IFS= read -r line; do
		echo "$line" >"$FOLDER/message" || true
	done
}

# When the connection to the database is lost, make another one.
# publish EVENT_ID
publish()
{
	while true; do
		ask | psql -X -q -A -t -v "event_id=$1" | hand_over || true
		sleep 1
	done
}

# For each URL, curl opens the file again and sends what is written to it until it is
# closed.  If nginx does not take it, the next one is sent all the same.
curl --silent --show-error --output /dev/null --header Expect: --unix-socket "$2" \
	--upload-file "$FOLDER/message" 'http://localhost/publish?[1-1000000000]' &
publish "$1" &

# (bash runs a trap while it waits, but not while a command in the foreground runs.)
wait -n
