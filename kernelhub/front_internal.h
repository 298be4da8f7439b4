/* front_internal.h - a front from inside: between front.c and catch_up.c. */
#ifndef KERNELHUB_FRONT_INTERNAL_H
#define KERNELHUB_FRONT_INTERNAL_H

#include "kernelhub/execution_internal.h"
#include "kernelhub/jupyter_internal.h"

#define FRONT_CLIENT_BYTES (FRONT_MAX_CLIENT_BYTES + 1)
#define FRONT_DIGEST_BYTES 16

struct front {
    struct session *session;
    struct user *user;
    struct front_events events;
    void *arg;
    char client[FRONT_CLIENT_BYTES];
    void *place;         /* in the session's fronts */
    struct buf held;     /* LINK_MESSAGE frames for a kernel that starts */
    uint64_t n_dropped;  /* messages that the kernel never got */
    zlistx_t *catch_ups; /* struct catch_up, owned */
};

/* A request's, in jupyter.asked under its msg_id. */
struct asked {
    struct front *front; /* NULL: it is away */
    uint64_t number;     /* how many were asked before */
    char client[FRONT_CLIENT_BYTES];
    bool
        is_cell; /* stays until its execution has ended, and a while longer when its client may come again */
    bool replied, idled;
    char *header;             /* of a cell */
    uint8_t digest[FRONT_DIGEST_BYTES]; /* of a cell: what it was sent as */
    struct uuid execution_id; /* of a cell that is accepted */
    int64_t ended_us;         /* 0: it has not */
};

/* A cell whose acceptance is not committed yet. */
struct submit {
    struct session *session;
    struct wait *wait;
    char *header;
    void *place; /* in the session's submits */
};

void front_submit_free(struct submit *b); /* out of the list already */

/* The cell with this msg_id that has not ended; NULL: none. */
struct asked *front_find_cell(const struct front *f, const char *msg_id);
/* NULL: too many requests of this session have no answer yet. */
struct asked *front_ask(struct front *f, const char *msg_id, bool is_cell);
void front_execute(struct front *f, const struct kernel_ws_message *m); /* front_cells.c: an execute_request that is a cell */
void front_say_state(struct session *s, const char *state, struct slice parent); /* a status of ours */

/* A message that no kernel sent. only NULL: on iopub, to every front but those that hear of its parent from the store. parent: a header, or empty. */
void front_say(struct session *s, struct front *only, enum link_channel channel, const char *msg_type, struct slice parent,
               struct slice content);

/* catch_up.c: what a client has missed of a cell, while it was away: all of its output from the store, then what comes, then reply and
 * idle. Meanwhile what the kernel says of that cell itself is not for this front. */
void catch_up_begin(struct front *f, const struct uuid *execution_id, struct slice header);
bool catch_up_has(const struct front *f, const char *msg_id);
void catch_ups_go_on(struct front *f); /* there is room again */
void catch_ups_free(struct front *f);

#endif
