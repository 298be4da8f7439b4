/* role.h - a long-lived child of the supervisor, such as the hub or the keeper: started, watched, ended. */
#ifndef CMD_ROLE_H
#define CMD_ROLE_H

#include <sys/types.h>

#include "cmd/paths.h"
#include "cmd/restart.h"
#include "cmd/settings.h"

#define ROLE_MAX_ARGUMENTS 160
#define ROLE_REPORT_FD     3 /* where a role finds the pipe it reports on */
#define ROLE_CONFIG_FD     4 /* and the settings file as it was when the service read it */
#define ROLE_CONFIG_PATH   "/proc/self/fd/4"
#define ROLE_LISTEN_FD     5 /* and a socket to listen at, when it has one */

/* One line of JSON that a role sends up: {"url","admin_key"} when it is ready, {"error"} when it
 * cannot be. */
struct role_report {
    char url[256];
    char admin_key[128];
    char error[600];
};
bool role_report_parse(struct role_report *ret, struct slice line);
/* The other side, told by --report that it has one. First: what it inherited goes to none of its
 * children. */
void role_begin(void);
/* settings_read. When they were handed over (--report), the descriptor they came by is closed then. */
int role_read_settings(const struct settings *s, bool handed_over, struct config **ret,
                       struct err *e);
/* Writes to ROLE_REPORT_FD and closes it. NULL for what there is nothing to say about. */
void role_report_send(const char *url, const char *admin_key, const char *error);

struct role {
    const char *name; /* also the subcommand */
    char pid_path[PATH_SIZE];
    pid_t pid;      /* 0: not running */
    int pidfd;      /* -1: not running */
    int report_fd;  /* -1: nothing more to read */
    int listen_fd;  /* given to it; -1: none */
    int64_t due_ms; /* when to start again; 0: no start is due */
    struct restart restart;
    struct role_report report; /* what it said since its start */
};

int role_init(struct role *r, const char *name, const char *run_dir, struct err *e);

/* Ends what a supervisor that was killed left behind. True when there was something. */
bool role_end_left_over(struct role *r);

/* Forks and runs `program` NAME arguments… in a session of its own (Ctrl-C is the supervisor's).
 * config_fd may be -1. */
int role_start(struct role *r, const char *program, const char *const *arguments, int config_fd,
               int64_t now_ms, struct err *e);
void role_signal(const struct role *r, int signal);
void role_read_report(struct role *r); /* when report_fd is readable */

/* The process has ended (its pidfd says so): reaps it, removes the pid file, and gives its wait
 * status. */
int role_reap(struct role *r);
/* "ended with exit code 2", "was killed by signal 9 (Killed)" */
void role_describe_end(int status, char *ret, size_t size);

#endif
