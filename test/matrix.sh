#!/bin/bash
#
# matrix.sh - the test suite on every supported PostgreSQL (make matrix).
#
# usage: test/matrix.sh [15] [17] [upgrade] [django] [18]	(default: all five)
#
# 15, 17 and 18 run the whole suite (run.sh) on that version.  With QUICK=1, other
# versions than this machine's run it only with the settings as they are.  upgrade moves a
# cluster with data from 15 to 17 by pg_upgrade (upgrade/run.sh).  django runs
# clients/django/test.sh on 17.  They run one after the other.
#
# The version that this machine's release of Debian has is tested on the machine
# itself.  Each other version is tested in a folder with a release that has it,
# which takes root and the right to mount (folders.sh).  A run that needs a folder
# counts as one failure if the folder can't be made or entered.  While the first
# version is tested, the folders for the others are made.
#
# The last line is the total,
#
#	N passed, N failed
#
# and the exit status is 0 only if nothing failed and something passed.
#
# Environment: PGB_TIMEOUT, the seconds that one version may take (default: 3600),
# what folders.sh reads, and what server.sh reads except PG_MAJOR and PG_CONFIG.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
# shellcheck source=test/tally.sh
. "$PGB_REPO/test/tally.sh"
# shellcheck source=test/mounts.sh
. "$PGB_REPO/test/mounts.sh"
# shellcheck source=test/folders.sh
. "$PGB_REPO/test/folders.sh"

PGB_TIMEOUT=${PGB_TIMEOUT:-3600}
NATIVE=''		# the version of this machine
MAKER=''		# the process that makes folders in the background

# However this script ends, so does the process that makes folders.
# shellcheck disable=SC2034
PGB_AT_EXIT=finish
finish()
{
	if [ -n "$MAKER" ] && jobs -pr | grep -qx "$MAKER"; then
		kill -TERM "$MAKER"
		wait "$MAKER"
	fi
	print_total
}

# The version whose folder a run needs, or nothing.
folder_of_run()
{
	case $1 in
		"$NATIVE") ;;
		upgrade | django) echo "$NEWER" ;;
		*) echo "$1" ;;
	esac
}

# Make the folders that these runs need, in the background.  A run makes its folder
# itself if it comes first, and says so if one can't be made.
make_folders()
{
	local run versions

	mapfile -t versions < <(for run in "$@"; do folder_of_run "$run"; done | uniq)
	[ "${#versions[@]}" -gt 0 ] && can_enter || return 0
	setsid "$PGB_REPO/test/folders.sh" "${versions[@]}" >"$PGB_DIR/folders.log" 2>&1 \
		8>&- 9>&- &
	MAKER=$!
}

# Run a script of tests in the folder of a version, and add its last line to the
# total.
# add_in_folder VERSION WHAT SCRIPT [argument ...]
add_in_folder()
{
	local version=$1 what=$2 script=$3 folder lock

	shift 3
	folder=$(folder_path "$version")
	if ! can_enter; then
		broke "$what" "the folder that it needs can't be entered: $OBSTACLE"
	elif ! pgb_run "$PGB_REPO/test/folders.sh" "$version"; then
		broke "$what" "the folder that it needs can't be made"
	else
		exec {lock}>"$folder.lock"
		pgb_run flock -s "$lock"
		add_run "$what" enter ro "$folder" env "PG_MAJOR=$version" \
			"/tmp/pg_booking/test/$script" "$@" {lock}>&-
		exec {lock}>&-
	fi
}

main()
{
	local runs=("$@") run suites=()

	[ "$#" -gt 0 ] || runs=(15 17 upgrade django 18)
	pgb_clean_environment
	unset PG_MAJOR PG_CONFIG
	[ -z "${QUICK:-}" ] || suites=(regress-default isolation-default tap)
	NATIVE=$("$PGB_REPO/test/setup.sh" --pg-major)
	make_tmp
	make_folders "${runs[@]:1}"

	for run in "${runs[@]}"; do
		case $run in
			"$NATIVE") add_run "PostgreSQL $run" pgb_run "$PGB_REPO/test/run.sh" ;;
			15 | 17 | 18)
				add_in_folder "$run" "PostgreSQL $run" run.sh "${suites[@]}"
				;;
			upgrade)
				add_in_folder "$NEWER" "pg_upgrade from $OLDER to $NEWER" \
					upgrade/run.sh "$OLDER"
				;;
			django)
				add_in_folder "$NEWER" "Django 4.2 on PostgreSQL $NEWER" \
					../clients/django/test.sh
				;;
			*) pgb_die "unknown version \"$run\"" ;;
		esac
	done
	FINISHED=1
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main "$@"
