/* supervisor.h - starts hub and keeper, and the courier when somebody knocks at its socket; starts again what died, passes
 * signals on, ends all. Its death ends nobody: the next one finds the roles by their pid files.
 *
 *     SIGINT   ends everything, sandboxes too (Ctrl-C, `kernelhub stop`); a second one hurries
 *     SIGTERM  ends hub and keeper; sandboxes and what runs in them go on (a restart by systemd)
 *     SIGHUP   reads the settings again and restarts hub and courier with them
 *     SIGUSR1  restarts the hub with a new admin key for the token file (`kernelhub key create
 * --local`)
 */
#ifndef CMD_SUPERVISOR_H
#define CMD_SUPERVISOR_H

#include <stdbool.h>

#include "cmd/role.h"

#define SUPERVISOR_PID_FILE "supervisor.pid"

struct supervisor_options {
    const char *program; /* what the roles run: /proc/self/exe */
    const char *run_dir;
    unsigned hub_uid, hub_gid; /* who may knock */
    const char *const *arguments; /* for all roles; NULL ends them */
    bool new_admin_key;           /* at the first start of the hub */
    bool in_terminal;             /* the terminal's end is Ctrl-C */
    bool keep_port; /* port 0: a hub that is started again takes the first one's port */
    /* The settings file as a file in memory that nobody can change (-1: the roles get none). */
    int (*snapshot)(void *arg, int *ret_fd, struct err *e);
    void (*on_ready)(void *arg,
                     const struct role_report *report); /* after every start of the hub */
    void (*on_tick)(void *arg);                         /* about once a minute */
    void *arg;
};

/* Runs until a signal ends it; the process's exit code. Start errors are said in ret_error: why the
 * first hub or keeper gave up. */
int supervisor_run(const struct supervisor_options *o, struct err *ret_error);

#endif
