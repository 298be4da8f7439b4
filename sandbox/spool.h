/* spool.h - the file in which a warden keeps what its memory does not hold, read and written by a thread of its own:
 * whoever hands it a job never waits for a disk. */
#ifndef SANDBOX_SPOOL_H
#define SANDBOX_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/err.h"

/* A ring: the position `at` counts on for ever and lies at at % max_bytes in the file. Nothing is synced to disk and the file has
 * no name: it lives no longer than the warden. */
struct spool;

enum spool_what { SPOOL_WRITE, SPOOL_READ, SPOOL_EMPTY };

struct spool_job {
    enum spool_what what;
    uint64_t at;
    const struct iovec *iov; /* WRITE: what from */
    size_t n;
    char *data; /* READ: where to */
    size_t len; /* of all */
    int error;  /* errno; 0: it is done, all of it */
};

/* Makes the file at `path` for `uid`, and takes its name away. As root, before anything is given up. */
int spool_open(const char *path, unsigned uid, uint64_t max_bytes, struct spool **ret, struct err *e);
/* The thread: to be born before the system calls are limited. */
void spool_start(struct spool *s);
void spool_free(struct spool *s); /* a job under way is done first */
DEFINE_CLEANUP(struct spool, spool_free)

uint64_t spool_max_bytes(const struct spool *s);

/* One job at a time; it and all it points to are the thread's until it comes back. */
void spool_hand(struct spool *s, struct spool_job *job);
bool spool_take(struct spool *s); /* true: the job is back */
void spool_wait(struct spool *s); /* for the job that is under way */
int spool_bell(const struct spool *s); /* readable when spool_take is to be called */

#endif
