/* warden.h - one small confined process per sandbox, between the hub and init: it starts kernels through init,
 * reads what they say, keeps it until the hub has it, and enforces deadlines whether a hub is there or not. */
#ifndef SANDBOX_WARDEN_H
#define SANDBOX_WARDEN_H

#include "base/cleanup.h"
#include "base/uuid.h"
#include "sandbox/spool.h"
#include "sandbox/usage.h"

/*      hub ══ warden_link ══ warden ══ warden_init ══ init
 *                 │             │
 *               keep ◄── warden_kernel × n ── channel × 4 ◄─ relayed by init ─ kernel
 *                               └─ run_table
 */
struct warden;

#define WARDEN_KEEP_BYTES     (32u << 20) /* in memory; the rest is the spool's */
#define WARDEN_REMEMBER_RUNS  1024
#define WARDEN_MAX_RUNS       8192 /* remembered and running */

struct warden_setup {
    struct uuid sandbox_id, epoch;
    unsigned first_uid, last_uid; /* the sandbox's range: no hub comes from there */
    pid_t init_pid;
    int link_fd, init_fd;         /* listening; owned by the warden from new on */
    int keeper_fd;                /* fd 3: "stop" ends the warden; borrowed */
    const char *channels_dir, *kernels_dir, *keeper_path;
    struct usage *usage;          /* borrowed */
    struct spool *spool;          /* borrowed, started; NULL: none */
    struct warden_notes *notes;   /* borrowed; what an earlier warden left, and we for the next; NULL: none */
};

struct warden *warden_new(const struct warden_setup *setup);
void warden_free(struct warden *w);
DEFINE_CLEANUP(struct warden, warden_free)

/* Runs until the keeper says stop. -1: it could not go on. */
int warden_run(struct warden *w);

#endif
