#!/bin/bash
#
# mounts.sh - mounts that no other process sees, for the scripts that need some.
#
# Sourced.  find_unshare finds the command that gives another command a mount
# namespace of its own:
#
#	find_unshare || echo "$OBSTACLE"
#	"${UNSHARE[@]}" mount ...

UNSHARE=()		# the command that makes the namespaces
# shellcheck disable=SC2034
OBSTACLE=''		# why there is none

# Set UNSHARE, or return false and set OBSTACLE.  Options are further ones of
# unshare.  The mounts must not be seen outside: if "/" is no mount point (in a
# chroot), unshare can't change the propagation, and it depends on the system
# around the chroot.
# find_unshare [OPTION ...]
# shellcheck disable=SC2034
find_unshare()
{
	local propagation probe

	[ "${#UNSHARE[@]}" -eq 0 ] || return 0
	OBSTACLE='only root can mount'
	[ "$(id -u)" -eq 0 ] || return 1

	OBSTACLE='the right to mount is missing'
	probe=$(mktemp -d "${PGB_TMPDIR:-/tmp}/pgb.XXXXXX")
	for propagation in private unchanged; do
		UNSHARE=(unshare --mount "$@" --propagation "$propagation")
		! "${UNSHARE[@]}" mount --bind "$probe" "$probe" 2>/dev/null || break
		UNSHARE=()
	done
	if mountpoint -q "$probe"; then
		umount "$probe"
		OBSTACLE='in this chroot, mounts can not be hidden from the system around it'
		UNSHARE=()
	fi
	rmdir "$probe"
	[ "${#UNSHARE[@]}" -gt 0 ]
}
