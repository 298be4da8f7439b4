/* warden_terminal.h - one terminal as the warden sees it: bytes between the hub and a socket whose other end is init's. */
#ifndef SANDBOX_WARDEN_TERMINAL_H
#define SANDBOX_WARDEN_TERMINAL_H

#include "sandbox/warden_kernel.h"
#include "sandbox/warden_link.h"

/*      hub ── INPUT ─► held ──► socket ── init ─► pseudo-terminal
 *      hub ◄─ OUTPUT ── ring ◄── socket ◄─ init ── pseudo-terminal
 *
 * The ring keeps the last of the output for a hub that comes again. It is read from the socket only as far as the hub has given
 * credit and the link is clear, so what a program floods waits in the program. `held` is at most a window. The socket's end is the
 * terminal's end, so it ends with its warden. */
struct warden_terminal;

/* Reads the hub's LINK_TERMINAL. It waits until warden_terminal_begin. */
int warden_terminal_new(struct warden_kernel_env *env, struct warden_link *link, const struct link_frame *f,
                        struct warden_terminal **ret, struct err *e);
void warden_terminal_free(struct warden_terminal *t);
DEFINE_CLEANUP(struct warden_terminal, warden_terminal_free)

/* Init is there; number: init's, nobody else's until this terminal is freed. */
void warden_terminal_begin(struct warden_terminal *t, unsigned number);

/* The hub's orders. A bad one is an error for the hub and changes nothing. */
int warden_terminal_input(struct warden_terminal *t, struct slice bytes, struct err *e);
int warden_terminal_resize(struct warden_terminal *t, struct slice json, struct err *e);
int warden_terminal_credit(struct warden_terminal *t, struct slice json, struct err *e);
void warden_terminal_stop(struct warden_terminal *t, const char *why); /* why: static words for who asks */

/* A hub says HELLO: its member of the list. Nothing is said to it before it gives credit. */
void warden_terminal_write_hello(struct warden_terminal *t, struct buf *out);

/* What init says. */
void warden_terminal_on_packet(struct warden_terminal *t, const struct init_packet *p);
void warden_terminal_on_init_gone(struct warden_terminal *t);

/* After every batch, before the link is flushed, and once more behind that: says what may be said. */
void warden_terminal_say(struct warden_terminal *t);
void warden_terminal_watch(struct warden_terminal *t);

/* The time, as a kernel's. */
int64_t warden_terminal_due_ms(const struct warden_terminal *t);
void warden_terminal_on_due(struct warden_terminal *t);

bool warden_terminal_is_waiting(const struct warden_terminal *t); /* to begin */
bool warden_terminal_is_over(const struct warden_terminal *t);    /* the hub has heard so: free it */
bool warden_terminal_is_stopped(const struct warden_terminal *t); /* the hub wants it no more */
const struct uuid *warden_terminal_id(const struct warden_terminal *t);
unsigned warden_terminal_number(const struct warden_terminal *t); /* 0: not begun */

#endif
