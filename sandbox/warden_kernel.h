/* warden_kernel.h - one kernel as the warden sees it: started through init, spoken to over four channels, ended
 * truthfully. */
#ifndef SANDBOX_WARDEN_KERNEL_H
#define SANDBOX_WARDEN_KERNEL_H

#include <czmq.h>

#include "base/err.h"
#include "base/loop.h"
#include "protocol/link.h"
#include "sandbox/keep.h"
#include "sandbox/run_table.h"
#include "sandbox/usage.h"
#include "sandbox/warden_init.h"
#include "sandbox/warden_notes.h"

struct warden_kernel;

#define WARDEN_KERNEL_MAX_RUNS  256        /* outstanding executions; more are refused */
#define WARDEN_KERNEL_OUTPUT    (8u << 10) /* kept of what the process itself writes */
#define WARDEN_KERNEL_CONFIRM_MS 5000      /* for init to confirm an order */
#define WARDEN_KERNEL_ADOPT_MS   5000      /* for a kernel of an earlier warden to answer us */

/* What all kernels of a warden share. */
struct warden_kernel_env {
    struct loop *loop;
    struct keep *keep;
    struct run_table *runs;
    struct usage *usage;
    struct warden_init *init;
    struct warden_notes *notes; /* NULL: none */
    const char *channels_dir; /* where we bind */
    const char *kernels_dir;  /* inside the container; a kernel's own folder is its number below it */
    uint64_t generation;      /* counts starts of processes */
    /* Init did not confirm an order in time. Calls nothing of this kernel before it returns. */
    void (*on_stuck)(void *owner, const char *why);
    /* Something happened; called last, so that the kernel may be freed when it is over. */
    void (*after)(void *owner);
    void *owner;
};

/* number: init's, 1 … INIT_MAX_KERNELS, nobody else's until this kernel is freed. */
struct warden_kernel *warden_kernel_new(struct warden_kernel_env *env, const struct uuid *id, unsigned number);
void warden_kernel_free(struct warden_kernel *k);
DEFINE_CLEANUP(struct warden_kernel, warden_kernel_free)

/* Instead of a start: it was an earlier warden's. When init names it as alive it is spoken to, interrupted if code ran there, and
 * kept if it answers; else it is dead. */
void warden_kernel_adopt(struct warden_kernel *k, const struct warden_note *note);

/* The hub's orders. A bad one is an error for the hub and changes nothing. */
int warden_kernel_start(struct warden_kernel *k, struct slice json, struct err *e); /* also: start again */
void warden_kernel_stop(struct warden_kernel *k, int64_t grace_ms);
int warden_kernel_execute(struct warden_kernel *k, const struct link_frame *f, struct err *e);
int warden_kernel_message(struct warden_kernel *k, const struct link_frame *f, struct err *e);
void warden_kernel_interrupt(struct warden_kernel *k, const struct uuid *execution_id); /* none: whatever runs */

/* It waits for init and has sent nothing yet: its number may still be changed. */
bool warden_kernel_is_waiting(const struct warden_kernel *k);
void warden_kernel_renumber(struct warden_kernel *k, unsigned number);

/* What init says. */
void warden_kernel_on_init(struct warden_kernel *k); /* it is there */
void warden_kernel_on_packet(struct warden_kernel *k, const struct init_packet *p);
void warden_kernel_on_init_gone(struct warden_kernel *k);

/* The time. due: monotonic ms at which on_due is wanted, 0: never. */
int64_t warden_kernel_due_ms(const struct warden_kernel *k);
void warden_kernel_on_due(struct warden_kernel *k, int64_t now_ms);

bool warden_kernel_is_over(const struct warden_kernel *k); /* nothing more will come: free it */
bool warden_kernel_is_idle(const struct warden_kernel *k); /* no execution is outstanding */
const char *warden_kernel_state(const struct warden_kernel *k); /* starting, ready, dead */
/* Its process welcomes who subscribes to iopub. */
bool warden_kernel_welcomes(const struct warden_kernel *k);
const struct uuid *warden_kernel_id(const struct warden_kernel *k);
unsigned warden_kernel_number(const struct warden_kernel *k);

#endif
