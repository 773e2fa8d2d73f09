#!/bin/bash
#
# tally.sh - counts what passed and failed, for the scripts that run tests.
#
# Sourced after server.sh.  However the script ends, the last line that it prints is
#
#	N passed, N failed
#
# with one more failure unless the script has set FINISHED.

PASSED=0
FAILED=0
FINISHED=''

# Print the last line.
# shellcheck disable=SC2034
PGB_AT_EXIT=print_total
print_total()
{
	[ -n "$FINISHED" ] || FAILED=$((FAILED + 1))
	echo "$PASSED passed, $FAILED failed"
}

# ---- counting ---------------------------------------------------------------

# Print how many lines of a file match.
# count PATTERN FILE
count()
{
	grep -cE "$1" "$2" || true
}

# Count one failure that is not the failure of a test.
# broke RUN WHAT
broke()
{
	echo "    FAILED: $1: $2"
	FAILED=$((FAILED + 1))
}

# Add the results of one run to the total.
# tally PASSED FAILED SECONDS
tally()
{
	PASSED=$((PASSED + $1))
	FAILED=$((FAILED + $2))
	echo "    $1 passed, $2 failed ($3 s)"
}

# Run a command that counts as one test.
# add_check WHAT COMMAND ...
add_check()
{
	local what=$1

	shift
	pgb_say "$what"
	if "$@"; then
		PASSED=$((PASSED + 1))
	else
		broke "$what" "see above"
	fi
}

# Run a script of tests, show what it prints, and add its last line to the total.
# add_run WHAT COMMAND ...
add_run()
{
	local what=$1 log="$PGB_DIR/run.log" start=$SECONDS status=0
	local out tee passed='' failed=''

	shift
	exec {out}> >(exec tee -i "$log")
	tee=$!
	"$@" >&"$out" 2>&1 {out}>&- || status=$?
	exec {out}>&-
	wait "$tee"
	read -r passed _ failed _ < <(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" |
		tail -n 1) || true
	pgb_say "$what"
	tally "${passed:-0}" "${failed:-0}" "$((SECONDS - start))"
	if [ "$status" -ne 0 ] && [ "${failed:-0}" -eq 0 ] || [ -z "$passed" ]; then
		broke "$what" "ended with status $status"
	fi
}

# Add the results of a framework's own test runner, and show what it printed if it
# failed.
# add_runner WHAT STATUS PASSED FAILED SECONDS LOG
add_runner()
{
	tally "${3:-0}" "${4:-0}" "$5"
	[ "$2" -ne 0 ] || return 0
	[ "${4:-0}" -gt 0 ] || broke "$1" "ended with status $2"
	cat "$6"
}

# Show the last lines of a file, indented.
# show FILE LINES
show()
{
	[ -s "$1" ] || return 0
	echo "    --- the end of ${1#"$PGB_DIR/"}:"
	tail -n "$2" "$1" | sed 's/^/    /'
}

# Crashes, internal errors and reports of sanitizers in a server's log.
readonly LOG_ALARM='PANIC:|TRAP: |was terminated by signal|\] XX[0-9A-Z]{3} |: runtime error: '

# Count a failure if there is any in the log of the last server.
# check_server_log RUN
check_server_log()
{
	if grep -qE "$LOG_ALARM" "$PGB_LOG"; then
		broke "$1" "the server's log has a crash or an internal error"
		grep -E "$LOG_ALARM" -A 8 "$PGB_LOG" | head -n 80 | sed 's/^/    /'
	fi
}

# ---- TAP --------------------------------------------------------------------

# prove ends with a line for each file in which something went wrong, and with the
# number of all assertions:
#
#	test/t/001_x.pl (Wstat: 256 (exited 1) Tests: 9 Failed: 1)
#	  Failed test:  4
#	test/t/002_y.pl (Wstat: 0 Tests: 3 Failed: 0)
#	  Parse errors: No plan found in TAP output
#	Files=2, Tests=12,  7 wallclock secs ...
#
# Print three numbers: assertions run, assertions failed, and files that broke
# without a failed assertion.
count_tap()
{
	awk '/\(Wstat: .* Tests: [0-9]+ Failed: [0-9]+\)$/ {
			n = $NF + 0
			failed += n
			doubtful = (n == 0)
			if (doubtful && !/Wstat: 0 /) { broken++; doubtful = 0 }
		}
		/^  Parse errors:/ && doubtful { broken++; doubtful = 0 }
		/^Files=[0-9]+, Tests=[0-9]+,/ { sub(/^.*Tests=/, ""); total = $0 + 0 }
		END { print total + 0, failed + 0, broken + 0 }' "$1"
}

# Show prove's output, and the end of the log of each file that broke or failed.
show_tap_logs()
{
	local file

	show "$1" 120
	while IFS= read -r file; do
		show "$PGB_SRC/tmp_check/log/regress_log_$(basename "$file" .pl)" 80
	done < <(sed -nE 's/^([^ ]+\.pl) +\(Wstat: .*/\1/p' "$1")
	echo "    --- what the servers' logs tell of crashes (some are meant):"
	grep -hE "$LOG_ALARM" -A 8 "$PGB_SRC"/tmp_check/log/*.log | head -n 80 |
		sed 's/^/    /' || true
}

# Run the TAP tests.
# run_tap [make argument ...]
run_tap()
{
	local log="$PGB_DIR/tap.log" start=$SECONDS status=0
	local total failed broken

	pgb_say "tap"
	pgb_make installcheck REGRESS= ISOLATION= "$@" >"$log" 2>&1 || status=$?
	read -r total failed broken < <(count_tap "$log")
	tally "$((total - failed))" "$failed" "$((SECONDS - start))"
	if [ "$broken" -gt 0 ]; then
		broke tap "$broken file(s) did not run to their end"
		FAILED=$((FAILED + broken - 1))
	elif [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
		broke tap "ended with status $status"
	elif [ "$total" -eq 0 ]; then
		broke tap "no test was run"
		show "$log" 60
	fi
	[ "$status" -eq 0 ] || show_tap_logs "$log"
}
