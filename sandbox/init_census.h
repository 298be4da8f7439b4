/* init_census.h - who belongs to a kernel, found in /proc, and their end. */
#ifndef SANDBOX_INIT_CENSUS_H
#define SANDBOX_INIT_CENSUS_H

#include <stdbool.h>
#include <sys/types.h>

/* One sweep: stops, then kills what belongs to the kernel: the leader, its session and group, their
 * descendants, and every process whose environment holds `marker` ("KERNELHUB_KERNEL=…"). Returns
 * how many were alive; 0 means all are gone. Those it killed may need a moment to die, so the
 * caller sweeps again until 0 or its patience ends. */
unsigned init_census_kill(pid_t leader, const char *marker);

/* Says SIGHUP, and SIGCONT to who is stopped, to the same; returns how many there are. */
unsigned init_census_hang_up(pid_t leader, const char *marker);

/* As init_census_kill for every process but the caller; only for PID 1 of a pid namespace. */
unsigned init_census_kill_all(void);

#endif
