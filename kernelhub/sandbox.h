/* sandbox.h - the hub's view of one sandbox: asked for, connected to, gone. */
#ifndef KERNELHUB_SANDBOX_H
#define KERNELHUB_SANDBOX_H

#include "kernelhub/hub_internal.h"
#include "kernelhub/user.h"
#include "protocol/link.h"

enum sandbox_state {
    SANDBOX_RECOVERED,  /* known from the store; the keeper has not said yet whether it lives */
    SANDBOX_CREATING,   /* the keeper makes it */
    SANDBOX_CONNECTING, /* it exists; no hello from its warden yet */
    SANDBOX_UP,
    SANDBOX_GONE,       /* about to be freed */
};

struct sandbox {
    struct hub *hub;
    struct user *user;
    struct uuid id;
    char name[64], template_name[64], image[256], digest[128];
    enum sandbox_state state;
    char epoch[37];       /* the warden's, "" before its hello */
    uint64_t last_number; /* committed, as of the store, when the hub started */
    int64_t created_us, asked_us;
    char phases[256];     /* the keeper's figures, JSON */
    struct link_client *link;
    int timer;            /* a deadline of the present state; -1: none */
    int retry_timer;      /* until the next attempt to connect; -1: none */
};

/* The user's sandbox of a template, made when there is none. ERR_QUOTA when there are too many. */
int sandbox_get(struct hub *h, struct user *u, const char *template_name, struct sandbox **ret, struct err *e);
struct sandbox *sandbox_recover(struct hub *h, const struct sandbox_row *r);
void sandbox_free(struct sandbox *s); /* of memory only */

/* The keeper says it runs (or not): connects, or ends it; asks for it again when it never came up. */
void sandbox_confirm(struct sandbox *s, bool runs);
void sandbox_connect(struct sandbox *s);

/* Ends it: its sessions are told (sessions_sandbox_gone), the keeper destroys it, memory goes in the loop's next turn. `code` and
 * reason are what those that waited for it are told; `status` is how what ran there ended. */
void sandbox_end(struct sandbox *s, enum err_code code, const char *reason, enum status status);

/* The keeper's event `exited` (verb.h). */
void sandbox_exited(struct sandbox *s, struct slice event);

/* Sends an order when the sandbox is up. */
void sandbox_send(struct sandbox *s, const struct link_frame *f);

/* For the last write that a frame of its warden causes; give the mark to the store and call sandbox_committed when it is done.
 * Safe when the sandbox is NULL or has gone in between (looked up by id). */
struct store_mark sandbox_take_mark(struct sandbox *s);
void sandbox_committed(struct hub *h, struct store_mark mark);

/* The same as a store_done_fn: give both to the store's verb. */
void *sandbox_mark_ticket(struct hub *h, struct store_mark mark);
void sandbox_mark_done(void *ticket);

void sandbox_write(const struct sandbox *s, struct buf *out);

#endif
