/* terminal_internal.h - a terminal from inside the hub. terminal.c: its life and the link; terminal_client.c: who looks at it. */
#ifndef KERNELHUB_TERMINAL_INTERNAL_H
#define KERNELHUB_TERMINAL_INTERNAL_H

#include "kernelhub/hub_internal.h"
#include "kernelhub/sandbox.h"
#include "kernelhub/terminal.h"

/* What a client that joins gets, and what may come before it has taken any of that. */
#define TERMINAL_RING_BYTES (TERMINAL_RECALL_BYTES + LINK_TERMINAL_WINDOW_BYTES)

/*  WAITING ──sandbox up──► STARTING ──started──► RUNNING ──over, sandbox gone, closed──► OVER
 *     └────────────────────────┴── failed ─────────────────────────────────────────────►┘  freed with its last client
 *
 * WAITING ends with its sandbox's own deadlines, STARTING with the warden's (60 s). */
enum terminal_state { TERMINAL_WAITING, TERMINAL_STARTING, TERMINAL_RUNNING, TERMINAL_OVER };

struct terminal {
    struct hub *hub;
    struct user *user;
    struct sandbox *sandbox; /* NULL when it is over */
    struct uuid id;
    char name[TERMINAL_NAME_BYTES + 1]; /* "": private */
    char *cwd;
    enum terminal_state state;
    unsigned rows, cols;
    int64_t active_us;
    zlistx_t *waits, *clients; /* struct terminal_client, owned */
    enum err_code end_code; /* ERR_NONE: its program's own end */
    char end_text[200];

    char *ring; /* position p stands at p % TERMINAL_RING_BYTES */
    uint64_t start, end, upto; /* kept from here, came so far, may come so far */
    uint64_t input, taken;     /* sent to the warden, has left it */
    int stall_timer;           /* -1: nobody waits for a slow client */
};

struct terminal_client {
    struct terminal *terminal;
    terminal_changed_fn *changed;
    void *arg;
    uint64_t at;
    int64_t moved_us; /* when it took something last, or had all */
    unsigned rows, cols; /* 0: it has not said */
    bool is_dropped;
    void *place;
};

void terminal_free(struct terminal *t); /* of memory only */

/* The sandbox's side. `hello`: which terminals its warden has. */
void terminals_sandbox_up(struct sandbox *s, struct slice hello, bool another_warden);
void terminals_sandbox_gone(struct sandbox *s, const struct err *why);
/* A frame of its warden; false: it is about no terminal. */
bool terminal_on_frame(struct sandbox *s, const struct link_frame *f);

/* Between the two files. */
/* One that the warden has and we do not know; NULL: it is to be ended. */
struct terminal *terminal_recover(struct sandbox *s, const struct uuid *id, const char *name);
void terminal_begin(struct terminal *t); /* its sandbox is up: sends the order */
void terminal_send(struct terminal *t, enum link_type type, struct slice part);
void terminal_end(struct terminal *t, enum err_code code, const char *text); /* ERR_NONE: its own end */
void terminal_stop(struct terminal *t);    /* closes it, whatever its sandbox can be told now */
void terminal_release(struct terminal *t); /* it is over: goes with its last client */
void terminal_tell(struct terminal *t);    /* all clients, that something has changed */
void terminal_add_output(struct terminal *t, struct slice bytes);
void terminal_restart_output(struct terminal *t, uint64_t from); /* a new connection: output begins there */
void terminal_grant(struct terminal *t);  /* tells the warden how much more may come */
void terminal_fit(struct terminal *t);    /* its size: the smallest of its clients */

#endif
