/* init_kernel.h - the kernels, commands and terminals of the sandbox: started, signalled, killed, relayed, buried.
 * A command is a kernel without channels and without a burial: what it started lives on. A terminal is one whose only channel
 * (number 0) leads to a pseudo-terminal. */
#ifndef SANDBOX_INIT_KERNEL_H
#define SANDBOX_INIT_KERNEL_H

#include <sys/types.h>

#include "protocol/init_wire.h"
#include "sandbox/init_relay.h"
#include "sandbox/init_warden.h"

#define INIT_N_CHANNELS 4 /* as LINK_N_CHANNELS */

/*  life      means                                    leaves by
 *  FREE      no kernel of this number                 START
 *  SPAWNING  forked, exec not known                   exec: STARTED, RUNNING; failed: FAILED, FREE
 *  RUNNING   it lives                                 its process was reaped
 *  ENDING    what it started is killed, its last      all gone and flushed, or patience ended:
 *            bytes are passed on (a command: only     EXITED, FREE; ENDED when no warden hears it
 *            when KILL was asked for)
 *  ENDED     its exit waits for a warden              HELLO: EXITED, FREE */
enum init_life { INIT_FREE, INIT_SPAWNING, INIT_RUNNING, INIT_ENDING, INIT_ENDED };

/* As STARTED's channel says it. */
enum init_kind { INIT_KERNEL = 0, INIT_COMMAND = 1, INIT_PTY = 2 };

struct init_kernel {
    struct init_kernels *among;
    uint32_t number;
    enum init_life life;
    pid_t pid; /* leads its session and group */
    int status;
    enum init_kind kind;
    bool kill_asked; /* owes DONE for KILL */
    bool sweeping;
    unsigned rounds;  /* sweeps so far */
    unsigned flushes; /* looks at whether the last bytes still flow */
    uint64_t moved_before;
    struct init_watch exec, out, err;
    struct init_timer sweep, flush;
    struct init_relay relays[INIT_N_CHANNELS];
    char marker[1024]; /* "KERNELHUB_KERNEL=" file_path; of the others "…COMMAND=", "…TERMINAL=" and a number */
};

struct init_kernels {
    struct init_loop *loop;
    struct init_warden *warden;
    struct init_relays relays;
    uint32_t n_commands;  /* so far: what they left behind is to live on */
    uint32_t n_terminals; /* so far */
    struct init_kernel table[INIT_MAX_KERNELS];
};

void init_kernels_init(struct init_kernels *all, struct init_loop *l, struct init_folders *f,
                       struct init_warden *w);

/* What the orders of init_wire.h say; each answers by itself. `fd` is taken in any case, `fds` are borrowed. */
void init_kernels_start(struct init_kernels *all, const struct init_packet *p);
void init_kernels_exec(struct init_kernels *all, const struct init_packet *p,
                       const int fds[INIT_MAX_FDS]);
void init_kernels_terminal(struct init_kernels *all, const struct init_packet *p, int fd);
void init_kernels_resize(struct init_kernels *all, const struct init_packet *p);
void init_kernels_channel(struct init_kernels *all, const struct init_packet *p, int fd);
void init_kernels_signal(struct init_kernels *all, const struct init_packet *p);
void init_kernels_kill(struct init_kernels *all, const struct init_packet *p);

/* Says HELLO, then STARTED for each kernel that lives and EXITED for each end nobody heard of. */
void init_kernels_hello(struct init_kernels *all);

/* The warden left before it read this kernel's EXITED. Its number cannot be in use again: no order
 * is read while an answer waits. */
void init_kernels_unheard(struct init_kernels *all, uint32_t number);

/* A child was reaped; it may be nobody's. */
void init_kernels_reaped(struct init_kernels *all, pid_t pid, int status);

/* Kills everything there is, before init exits. */
void init_kernels_end(struct init_kernels *all);

#endif
