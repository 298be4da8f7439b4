/* follower.h - a reader of one feed: every event from a number on, in order, once, at the reader's own speed. */
#ifndef KERNELHUB_FOLLOWER_H
#define KERNELHUB_FOLLOWER_H

#include "kernelhub/hub.h"
#include "kernelhub/user.h"

struct follower;

enum follow { FOLLOW_LINE, FOLLOW_WAIT, FOLLOW_END, FOLLOW_FAILED };

/* on_ready is called (from the loop, never from inside another follower verb) when follower_next may have
 * something new after it said FOLLOW_WAIT. `live`: wait for what is still to come; else end at what is there now. */
struct follower *follower_of_execution(struct hub *h, const struct user *u, const struct uuid *id,
                                       uint64_t after, bool live, void (*on_ready)(void *arg), void *arg);
struct follower *follower_of_session(struct hub *h, const struct user *u, const char *name, uint64_t after,
                                     bool live, void (*on_ready)(void *arg), void *arg);
/* Of an execution that never started: its events to the end (`finished` says why), not FOLLOW_FAILED. */
void follower_want_events(struct follower *f);
void follower_free(struct follower *f); /* NULL is fine; no on_ready afterwards */

/* The next event record as one line without newline, valid until the next call. FOLLOW_END: after `finished`, or
 * at the end of what is there. FOLLOW_FAILED: e says why (ERR_NOT_FOUND, …; ERR_SANDBOX etc. when the execution never
 * started and has no events). */
enum follow follower_next(struct follower *f, uint64_t *ret_seq, struct slice *ret_line, struct err *e);

#endif
