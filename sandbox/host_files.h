/* host_files.h - whether a file is root's alone, by every way that leads to it. */
#ifndef SANDBOX_HOST_FILES_H
#define SANDBOX_HOST_FILES_H

#include "base/err.h"

/* -1 with ERR_FORBIDDEN when somebody else than root (or we) could put another file in the place of
 * `path`, which is absolute: because he owns a folder or link on the way, or may write to a folder that
 * is not sticky. Looks at the path as it is written and as it is with all links followed. A group that
 * may write counts only if it has a member. Says nothing about the file's own mode. Not thread-safe. */
int host_files_check(const char *path, struct err *e);

/* The same for a program that root is to run; it must be a regular file that nobody else may write to, too. */
int host_files_check_program(const char *path, struct err *e);

#endif
