/* warden_link.h - the warden's side of link.sock: one hub at a time, numbered frames in order and in a window. */
#ifndef SANDBOX_WARDEN_LINK_H
#define SANDBOX_WARDEN_LINK_H

#include <czmq.h>

#include "base/cleanup.h"
#include "base/loop.h"
#include "protocol/link.h"
#include "sandbox/keep.h"

struct warden_link;

/* Frames without a number (HELLO, USAGE, ERROR) wait here; a hub that lets more than this wait is cut off. */
#define WARDEN_LINK_MAX_OUT_BYTES (8u << 20)
#define WARDEN_LINK_HELLO_MS      5000 /* a connection that has not said HELLO by then is closed */

struct warden_link_events {
    /* One frame of the hub, after HELLO has been dealt with by the link. False closes the connection. */
    bool (*on_frame)(void *owner, const struct link_frame *f);
    /* The hub said HELLO: append the members behind "first" ("" or ",…") of ours. */
    void (*write_hello)(void *owner, struct buf *out);
    void (*after)(void *owner); /* a batch of frames has been told */
    void *owner;
};

/* Owns `listener`. Peers whose uid lies in first_uid … last_uid (the sandbox's own range) are turned away. */
struct warden_link *warden_link_new(struct loop *loop, int listener, unsigned first_uid, unsigned last_uid,
                                    const char *sandbox_id, const struct uuid *epoch, struct keep *keep,
                                    const struct warden_link_events *events);
void warden_link_free(struct warden_link *l);
DEFINE_CLEANUP(struct warden_link, warden_link_free)

/* A hub is there, and nothing without a number waits for it. */
bool warden_link_is_clear(const struct warden_link *l);

/* A frame without a number; forgotten when no hub is there. */
void warden_link_say(struct warden_link *l, const struct link_frame *f);

/* Sends what may be sent; what may wait (keep_let_wait) goes with the next frame that may not, or at its due time (monotonic ms, 0: nothing
 * waits). To be called after frames were kept, and then. */
void warden_link_flush(struct warden_link *l);
int64_t warden_link_due_ms(const struct warden_link *l);

#endif
