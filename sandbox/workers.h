/* workers.h - a few threads for what blocks (Podman, processes, files), and the queue before them. */
#ifndef SANDBOX_WORKERS_H
#define SANDBOX_WORKERS_H

#include <czmq.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/loop.h"
#include "sandbox/podman.h"

struct workers;

/* `run` is called in a worker's thread with that worker's client of Podman, then `done` in the
 * loop's. `ctx` belongs to run from submit to done. */
struct job {
    void (*run)(void *ctx, struct podman *podman);
    void (*done)(void *ctx);
    void *ctx;
    void (*drop)(void *ctx); /* instead of done when the workers end first; NULL: ctx is somebody's who knows that */
};

struct workers *workers_new(struct loop *loop, unsigned n_threads, unsigned max_queued, const char *podman_socket);
/* Waits for the jobs that run; calls done for none, drop for each that has one. */
void workers_free(struct workers *w);
DEFINE_CLEANUP(struct workers, workers_free)

/* In order of submission. ERR_BUSY when max_queued wait already; `must` jobs (taking things away)
 * are queued nevertheless: there are no more of them than sandboxes. */
int workers_submit(struct workers *w, struct job job, bool must, struct err *e);
unsigned workers_busy(const struct workers *w); /* jobs that run or wait */

#endif
