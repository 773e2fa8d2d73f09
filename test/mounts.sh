#!/bin/bash
#
# mounts.sh - mounts that nobody else sees, for the scripts that need some.
#
# Sourced.  find_unshare tells how a command gets a mount namespace of its own:
#
#	find_unshare || echo "$OBSTACLE"
#	"${UNSHARE[@]}" mount ...

UNSHARE=()		# the command that makes the namespaces
# shellcheck disable=SC2034
OBSTACLE=''		# why there is none

# Find out whether one may mount, and how, such that it is not seen outside.
# Where "/" is no mount point (in a chroot), propagation can't be changed: there
# it depends on what is around.  Options are further ones of unshare.
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
		OBSTACLE='in this chroot, mounts can not be kept from the system around it'
		UNSHARE=()
	fi
	rmdir "$probe"
	[ "${#UNSHARE[@]}" -gt 0 ]
}
