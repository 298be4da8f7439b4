/* beneath.h - opens paths that a stranger may influence, never outside their root (openat2). */
#ifndef BASE_BENEATH_H
#define BASE_BENEATH_H

#include <sys/types.h>

#include "base/err.h"

/* Opens `path` below root_fd with RESOLVE_BENEATH, NO_SYMLINKS, NO_MAGICLINKS, and O_NONBLOCK,
 * O_CLOEXEC, O_NOCTTY added to flags. Returns a file descriptor the caller closes, or -1. */
int beneath_open(int root_fd, const char *path, int flags, mode_t mode, struct err *e);

/* The same; errno says why not. */
int beneath_open_errno(int root_fd, const char *path, int flags, mode_t mode);

/* Opens, or makes with `mode` and opens, one directory per component of `path`. */
int beneath_make_dir(int root_fd, const char *path, mode_t mode, struct err *e);

#endif
