/* keep.h - the numbered frames of one warden epoch, kept until the hub has committed them. */
#ifndef SANDBOX_KEEP_H
#define SANDBOX_KEEP_H

#include <sys/uio.h>

#include "protocol/link.h"
#include "sandbox/spool.h"

/*        acked            in flight (at most window_bytes)          waiting
 *   …………… freed | oldest ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ next ─ ─ ─ ─ ─ ─ ─ ─ ─ newest
 *                 └──────────── memory: head ────────────────┘└── file: spool ──┘└─ memory: tail ─┘
 *
 * All in order, in three pieces: the head is what may be sent, and a little more than the window; what does not fit there
 * gathers in the tail, goes to the spool in batches, and comes back when the head has room. A short burst never meets
 * the file: when it holds nothing the tail becomes head.
 *
 * Policy when the hub is slow or away: as long as less than memory_bytes are in memory a message is taken, and the spool
 * is what keeps it so; when that is full too, or its disk, messages are dropped and counted in one GAP frame per
 * execution that stands where the first of them would have stood, until the bytes in memory have sunk to three quarters.
 * A burst that comes faster than the disk writes may take four times memory_bytes, if the spool has room for it.
 * So the bound is memory_bytes, the spool's size and one message, or for a moment four times memory_bytes. KERNEL and END frames are never dropped: their number is
 * bounded by the orders. */
struct keep;

/* spool: started, borrowed, and nobody else's; NULL: there is only memory. */
struct keep *keep_new(size_t memory_bytes, size_t window_bytes, struct spool *spool);
void keep_free(struct keep *k);
DEFINE_CLEANUP(struct keep, keep_free)

/* Gives the frame the next number and keeps its bytes (copied). Returns the number, or 0 when a
 * MESSAGE was dropped and counted instead. */
uint64_t keep_add(struct keep *k, struct link_frame *f);

/* Of the frame that was added last: nobody minds when it goes a little later, with what comes next. */
void keep_let_wait(struct keep *k);
bool keep_may_wait(const struct keep *k); /* nothing but such is to be sent */

/* Something of this execution is missing here: adds to the GAP that stands open, or opens one.
 * `reason` is a string constant without quotes. */
void keep_gap(struct keep *k, const struct uuid *kernel_id, const struct uuid *execution_id,
              uint64_t bytes, uint64_t messages, const char *reason);

/* The hub has committed everything up to `number`. False when we never sent that. */
bool keep_ack(struct keep *k, uint64_t number);

/* A new connection: everything not acknowledged is to be sent again, from its beginning. */
void keep_rewind(struct keep *k);

/* Whether the hub takes one frame that is bigger than the window beside a full window. Else such a frame goes alone: after all before it
 * is acknowledged, and with nothing behind it until it is itself. Before anything is sent over a connection. */
void keep_set_large_beside(struct keep *k, bool large_beside);

/* Points up to n iovecs at what may be sent now and returns how many. Valid until the next call of
 * another function. */
size_t keep_gather(struct keep *k, struct iovec *iov, size_t n);
void keep_sent(struct keep *k, size_t bytes);
bool keep_in_mid_frame(const struct keep *k);

uint64_t keep_first(const struct keep *k); /* lowest number kept, or the next one */
uint64_t keep_last(const struct keep *k);  /* highest number given, 0: none */
uint64_t keep_acked(const struct keep *k);
size_t keep_bytes(const struct keep *k);        /* in memory */
uint64_t keep_spooled_bytes(const struct keep *k);

/* The spool's bell rang. False when what lies there cannot be read back: it is lost, and so is the order of all that
 * follows (*ret_error: errno). A disk that takes nothing (*ret_error, once) is only less room. */
bool keep_on_spool(struct keep *k, int *ret_error);

#endif
