/* keep.h - the numbered frames of one warden epoch, kept until the hub has committed them. */
#ifndef SANDBOX_KEEP_H
#define SANDBOX_KEEP_H

#include <sys/uio.h>

#include "protocol/link.h"

/*        acked            in flight (at most window_bytes)          waiting
 *   …………… freed | oldest ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ next ─ ─ ─ ─ ─ ─ ─ ─ ─ newest
 *
 * Policy when the hub is slow or away: as long as less than max_bytes are kept a message is taken (so the
 * bound is max_bytes and one message); beyond, messages are dropped and counted in one GAP frame per
 * execution that stands where the first of them would have stood, until the kept bytes have sunk to
 * three quarters. KERNEL and END frames are never dropped: their number is bounded by the orders. */
struct keep;

struct keep *keep_new(size_t max_bytes, size_t window_bytes);
void keep_free(struct keep *k);
DEFINE_CLEANUP(struct keep, keep_free)

/* Gives the frame the next number and keeps its bytes (copied). Returns the number, or 0 when a
 * MESSAGE was dropped and counted instead. */
uint64_t keep_add(struct keep *k, struct link_frame *f);

/* Something of this execution is missing here: adds to the GAP that stands open, or opens one.
 * `reason` is a string constant without quotes. */
void keep_gap(struct keep *k, const struct uuid *kernel_id, const struct uuid *execution_id,
              uint64_t bytes, uint64_t messages, const char *reason);

/* The hub has committed everything up to `number`. False when we never sent that. */
bool keep_ack(struct keep *k, uint64_t number);

/* A new connection: everything not acknowledged is to be sent again, from its beginning. */
void keep_rewind(struct keep *k);

/* Points up to n iovecs at what may be sent now and returns how many. Valid until the next call of
 * another function. */
size_t keep_gather(struct keep *k, struct iovec *iov, size_t n);
void keep_sent(struct keep *k, size_t bytes);
bool keep_in_mid_frame(const struct keep *k);

uint64_t keep_first(const struct keep *k); /* lowest number kept, or the next one */
uint64_t keep_last(const struct keep *k);  /* highest number given, 0: none */
uint64_t keep_acked(const struct keep *k);
size_t keep_bytes(const struct keep *k);

#endif
