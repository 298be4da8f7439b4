/* pidfile.h - a file that says which process has a role: its pid and start time, so that a pid used
 * again never stands for the old process. */
#ifndef CMD_PIDFILE_H
#define CMD_PIDFILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/slice.h"

/* "PID START\n". False for anything else. */
bool pidfile_parse(struct slice text, pid_t *ret_pid, uint64_t *ret_start);

int pidfile_write(const char *path, pid_t pid, struct err *e); /* replaced as a whole */

/* A pidfd of the process the file names, or -1 when there is no file or that process has gone. */
int pidfile_open(const char *path, pid_t *ret_pid);

/* SIGTERM (or `signal`), then SIGKILL after grace_ms. True when there was a process to end. The
 * file goes. */
bool pidfile_end(const char *path, int signal, unsigned grace_ms);

#endif
