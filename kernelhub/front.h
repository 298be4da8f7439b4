/* front.h - a Jupyter client at a session's kernel: what the kernel says it hears at once, what it says the kernel hears. Its
 * cells are executions like all others: they have their turn in the session's queue, a history and a feed. */
#ifndef KERNELHUB_FRONT_H
#define KERNELHUB_FRONT_H

#include "kernelhub/hub.h"
#include "kernelhub/user.h"
#include "protocol/kernel_ws.h"

#define FRONT_MAX_CLIENT_BYTES 127

struct front;
struct session;

struct front_events {
    /* parts: header, parent_header, metadata, content (good JSON), buffers…. No front may be closed from within. */
    void (*on_message)(void *arg, enum link_channel channel, const struct slice *parts, size_t n_parts);
    /* Whether more than what comes by itself may be said: what the client has missed. front_has_room when it is so again. */
    bool (*has_room)(void *arg);
    /* The session has ended, or the client has another connection now (is_replaced): the front is gone. */
    void (*on_end)(void *arg, const char *reason, bool is_replaced);
};

/* client: the session_id of its URL, by which it is known when it comes again, of at most FRONT_MAX_CLIENT_BYTES; "": none. Another front of that client ends, and of its
 * cells that run, or ended lately, it hears all that it may have missed. */
struct front *front_open(struct session *s, struct user *u, const char *client, const struct front_events *events, void *arg);
void front_close(struct front *f); /* without on_end; what it asked runs on */

void front_has_room(struct front *f);

/* A message of the client. What cannot be done is answered as the kernel would. */
void front_send(struct front *f, const struct kernel_ws_message *m);

/* The execution that a client's message, or the hub's own, with this msg_id made at the front's session; NULL: none that is known. */
const struct uuid *front_execution(const struct front *f, const char *msg_id);

#endif
