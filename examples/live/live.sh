#!/bin/bash
#
# live.sh - the page with a nginx of its own, for test.sh and bench.sh.
#
# Sourced after test/server.sh.  Everything is in $PGB_DIR/live.  nginx listens on a free
# port of 127.0.0.1 and on a unix socket there.  However the script ends, all that
# live_run has started is ended, too.
#
#	live_install PACKAGE ...	install nginx and these packages, if they are missing
#	live_start EVENT_ID			start nginx and the publisher; sets LIVE_URL, LIVE_PORT
#	live_stop					stop both

LIVE_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LIVE_DIR=''
LIVE_PORT=''
# shellcheck disable=SC2034
LIVE_URL=''
LIVE_PIDS=()

# Debian's package starts a nginx for the whole machine.  policy-rc.d forbids that while
# the package is installed.  But the first start makes a folder that nchan wants, whatever
# the configuration says.
# live_install PACKAGE ...
live_install()
{
	local policy=/usr/sbin/policy-rc.d body=/var/lib/nginx/body
	local packages=(nginx libnginx-mod-nchan curl python3 "$@")

	if [ "$(id -u)" -ne 0 ] || [ -e "$policy" ] || [ -x /usr/sbin/nginx ]; then
		"$PGB_REPO/test/setup.sh" "${packages[@]}"
	else
		(
			trap 'rm -f "$policy"' EXIT
			trap 'exit 143' HUP INT TERM
			printf '#!/bin/sh\nexit 101\n' >"$policy"
			chmod 755 "$policy"
			"$PGB_REPO/test/setup.sh" "${packages[@]}"
		)
	fi
	[ -d "$body" ] || install -d -o www-data -m 700 "$body"
}

# Run a command in the background, as the server's user, in a process group of its own.
# live_run LOG COMMAND ...
live_run()
{
	local log=$1

	shift
	setsid "${PGB_AS[@]}" "$@" >"$log" 2>&1 </dev/null 8>&- 9>&- &
	LIVE_PIDS+=("$!")
}

# True if nginx sends the page.
live_answers()
{
	curl --silent --fail --output /dev/null "$LIVE_URL"
}

# live_start EVENT_ID
live_start()
{
	local i

	LIVE_DIR="$PGB_DIR/live"
	pgb_as mkdir -p "$LIVE_DIR/www"
	pgb_as cp "$LIVE_HERE/index.html" "$LIVE_DIR/www"
	LIVE_PORT=$(pgb_free_port)
	LIVE_URL="http://127.0.0.1:$LIVE_PORT/"
	sed -e "s|FOLDER|$LIVE_DIR|g" -e "s|PORT|$LIVE_PORT|" "$LIVE_HERE/nginx.conf" |
		pgb_as tee "$LIVE_DIR/nginx.conf" >/dev/null
	live_run "$LIVE_DIR/nginx.log" nginx -c "$LIVE_DIR/nginx.conf" -e "$LIVE_DIR/error.log"
	for ((i = 0; i < 100; i++)); do
		! live_answers || break
		sleep 0.1
	done
	live_answers || pgb_step_failed "nginx does not answer" "$LIVE_DIR/nginx.log"
	live_run "$LIVE_DIR/publish.log" "$LIVE_HERE/publish.sh" "$1" "$LIVE_DIR/publish.sock"
}

live_stop()
{
	local pid

	for pid in ${LIVE_PIDS[@]+"${LIVE_PIDS[@]}"}; do
		kill -TERM -- "-$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	LIVE_PIDS=()
}

trap 'live_stop; pgb_cleanup' EXIT
