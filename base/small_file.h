/* small_file.h - files of a few kilobytes, read and replaced whole (records, /proc, cgroup counters). */
#ifndef BASE_SMALL_FILE_H
#define BASE_SMALL_FILE_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* Appends the file's bytes to `out`; dir_fd may be AT_FDCWD. ERR_NOT_FOUND when there is none,
 * ERR_TOO_LARGE when it passes out's ceiling. Blocks as the file system does. */
int small_file_read(int dir_fd, const char *path, struct buf *out, struct err *e);

/* Replaces the file by rename, so that a reader sees the old bytes or the new ones. Not synced: what
 * is kept this way is worth nothing after a power loss. */
int small_file_write(int dir_fd, const char *path, struct slice bytes, mode_t mode, struct err *e);

#endif
