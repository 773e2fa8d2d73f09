/*-------------------------------------------------------------------------
 *
 * powercut.c
 *	  Records what a server does to its WAL, for a simulated power cut.
 *
 * This library is preloaded into a server and replaces the functions that
 * write and sync.  For each write to a WAL segment and each sync of one, it
 * appends a record to the file that POWERCUT_LOG names: one when the call
 * begins, and one when it is done.  The record of a write also contains the
 * bytes that were there before.  A write may be lost in a power cut if it was
 * not done when the last completed sync began.  03_power_cut.pl reads the
 * records and undoes such writes.
 *
 * Each record is appended by one write.  It could be incomplete if the process
 * were killed during it, so processes must be stopped before they are killed.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* What a record tells: the begin or the end of a write or of a sync. */
enum
{
	WRITE_BEGINS,
	WRITE_DONE,
	SYNC_BEGINS,
	SYNC_DONE
};

typedef ssize_t (*PwriteFunction)(int, const void *, size_t, off_t);
typedef int (*FdatasyncFunction)(int);

/* A record.  After a WRITE_BEGINS, length bytes follow it. */
typedef struct Record
{
	uint64_t	what;
	uint64_t	pid;
	uint64_t	inode;			/* a segment is renamed when it is reused */
	uint64_t	offset;
	uint64_t	length;
} Record;

/*
 * How long a sync takes at least, in microseconds.  If the file system were
 * quicker, the power would hardly ever fail between a write and its sync.
 */
static const useconds_t sync_time = 1000;

static int	log_file = -1;

/* Opens the file of records; called when a process is started. */
__attribute__((constructor)) static void
open_log(void)
{
	const char *name = getenv("POWERCUT_LOG");

	if (name != NULL)
		log_file = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* True if this is a segment of the WAL, and not one that is being made. */
static int
is_segment(int fd, uint64_t *inode)
{
	char		link[64];
	char		path[PATH_MAX];
	ssize_t		length;
	const char *name;
	struct stat status;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path) - 1);
	if (log_file < 0 || length < 0)
		return 0;
	path[length] = '\0';
	name = strstr(path, "/pg_wal/");
	if (name == NULL || strspn(name + strlen("/pg_wal/"), "0123456789ABCDEF") != 24)
		return 0;
	if (fstat(fd, &status) != 0)
		abort();
	*inode = status.st_ino;
	return 1;
}

/* Appends a record.  If that fails, the server must not go on: it aborts. */
static void
note(Record record, void *bytes)
{
	struct iovec parts[2] = {
		{ &record, sizeof(record) },
		{ bytes, bytes == NULL ? 0 : record.length }
	};
	ssize_t		size = parts[0].iov_len + parts[1].iov_len;
	int			saved = errno;

	record.pid = getpid();
	if (writev(log_file, parts, 2) != size)
		abort();
	errno = saved;
}

/* Replaces pwrite(). */
ssize_t
pwrite(int fd, const void *buffer, size_t length, off_t offset)
{
	static PwriteFunction real = NULL;
	Record		record = { WRITE_BEGINS, 0, 0, 0, 0 };
	void	   *before;
	ssize_t		written;

	if (real == NULL)
		real = (PwriteFunction) dlsym(RTLD_NEXT, "pwrite");
	if (!is_segment(fd, &record.inode))
		return real(fd, buffer, length, offset);

	record.offset = offset;
	record.length = length;
	before = malloc(length);
	if (before == NULL || pread(fd, before, length, offset) != (ssize_t) length)
		abort();
	note(record, before);
	free(before);
	written = real(fd, buffer, length, offset);
	record.what = WRITE_DONE;
	note(record, NULL);
	return written;
}

/* Replaces fdatasync(), and makes it as slow as that of a disk. */
int
fdatasync(int fd)
{
	static FdatasyncFunction real = NULL;
	Record		record = { SYNC_BEGINS, 0, 0, 0, 0 };
	int			result;

	if (real == NULL)
		real = (FdatasyncFunction) dlsym(RTLD_NEXT, "fdatasync");
	if (!is_segment(fd, &record.inode))
		return real(fd);

	note(record, NULL);
	usleep(sync_time);
	result = real(fd);
	record.what = SYNC_DONE;
	if (result == 0)
		note(record, NULL);
	return result;
}
