/* process.h - a process of the host named so that its pid cannot come to mean another one: by pid
 * and start time until it is opened, by pidfd from then on. */
#ifndef SANDBOX_PROCESS_H
#define SANDBOX_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/slice.h"

/* Field 22 of /proc/PID/stat (clock ticks since boot), found after the last ')': the name before it
 * is whatever the process likes. */
bool process_parse_start(struct slice stat, uint64_t *ret);

/* Opens a pidfd. start 0: any; else ERR_NOT_FOUND when the process that has the pid now began at
 * another time. *ret_start (may be NULL) is its start time. */
int process_open(pid_t pid, uint64_t start, int *ret_pidfd, uint64_t *ret_start, struct err *e);

void process_kill(int pidfd);                       /* SIGKILL; nothing when it has gone */
bool process_wait(int pidfd, unsigned timeout_ms);  /* true: it has ended */

/* Kills and reaps pid; for children and, as far as killing goes, for others. Waits at most 2 s. */
void process_end(pid_t pid, int pidfd);

#endif
