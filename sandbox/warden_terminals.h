/* warden_terminals.h - all terminals of a warden: the hub's orders for them, and what is done with each of them in turn. */
#ifndef SANDBOX_WARDEN_TERMINALS_H
#define SANDBOX_WARDEN_TERMINALS_H

#include "sandbox/warden_terminal.h"

#define WARDEN_TERMINALS_PLACES (2 * LINK_MAX_TERMINALS) /* those that are closed need a moment to end */

struct warden_terminals {
    struct warden_kernel_env *env;
    struct warden_link *link;
    unsigned (*free_number)(void *owner); /* init's; 0: none is free. `owner` is env's */
    struct warden_terminal *all[WARDEN_TERMINALS_PLACES];
    size_t first; /* who speaks first */
};

void warden_terminals_done(struct warden_terminals *ts);

/* Whether a number of init's is one of theirs; NULL: no. */
struct warden_terminal *warden_terminals_of(struct warden_terminals *ts, unsigned number);

/* LINK_TERMINAL, INPUT, RESIZE, CREDIT; and STOP, when it names a terminal: else false. */
int warden_terminals_order(struct warden_terminals *ts, const struct link_frame *f, struct err *e);
bool warden_terminals_stop(struct warden_terminals *ts, const struct link_frame *f);
void warden_terminals_write_hello(struct warden_terminals *ts, struct buf *out); /* the list, with its brackets */

void warden_terminals_on_init(struct warden_terminals *ts);
void warden_terminals_on_init_gone(struct warden_terminals *ts);

/* After every batch: says what may be said, flushes the link, frees what is over. */
void warden_terminals_flush(struct warden_terminals *ts);
int64_t warden_terminals_due_ms(const struct warden_terminals *ts);
void warden_terminals_on_due(struct warden_terminals *ts, int64_t now_ms);

#endif
