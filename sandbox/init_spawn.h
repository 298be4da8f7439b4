/* init_spawn.h - the birth of a kernel, a command or a terminal: its connection file, its process, its pipes. */
#ifndef SANDBOX_INIT_SPAWN_H
#define SANDBOX_INIT_SPAWN_H

#include <sys/types.h>

#include "protocol/init_wire.h"

#define INIT_MARKER          "KERNELHUB_KERNEL="
#define INIT_COMMAND_MARKER  "KERNELHUB_COMMAND="
#define INIT_TERMINAL_MARKER "KERNELHUB_TERMINAL="

struct init_child {
    pid_t pid;          /* leads a session and a process group of its own */
    int exec_fd;        /* reads an int, the errno of a failed exec; ends when the exec succeeded */
    int out_fd, err_fd; /* -1: none */
};

/* Writes the connection file and forks; never waits for the child. `marker`, "KERNELHUB_KERNEL=…",
 * goes into its environment in the place of any other of that name. s->env is changed. The
 * descriptors are non-blocking and the caller's. Returns 0 or an errno. */
int init_spawn(struct init_start *s, const char *marker, struct init_child *ret);

/* The same for a command, whose stdout, stderr and stdin (-1: /dev/null) are given and borrowed. exec_fd only ends: a
 * command that cannot be executed says so itself, on its stderr, and exits with 127 (not there) or 126. */
int init_spawn_command(struct init_start *s, const char *marker, const int fds[INIT_MAX_FDS],
                       struct init_child *ret);

/* A process at a pseudo-terminal of its own, of `size` (init_size): stdin, stdout, stderr and the controlling terminal of its session.
 * *ret_tty: the master, the caller's, which does not block. */
int init_spawn_terminal(struct init_start *s, const char *marker, int32_t size,
                        struct init_child *ret, int *ret_tty);
/* The terminal's new size; its foreground group gets SIGWINCH. */
void init_spawn_resize(int tty, int32_t size);

#endif
