/* terminal.h - a program at a pseudo-terminal in a user's sandbox, and the clients that look at it and type.
 *
 *     terminal_open ──► terminal_await ──► terminal_attach ──► terminal_read, terminal_take; terminal_input … ──► terminal_detach
 *
 * A terminal with a name lives until its program ends, somebody closes it, or its sandbox goes; it survives the hub. Its names are the
 * user's: "1", "2", … or what was asked for. A private one has no name, is in no list, and ends with its client. Several clients
 * see the same; who joins gets the last 256 KiB first. Nothing of it is stored. */
#ifndef KERNELHUB_TERMINAL_H
#define KERNELHUB_TERMINAL_H

#include "kernelhub/hub.h"
#include "kernelhub/user.h"

struct sandbox;
struct terminal;
struct terminal_client;

#define TERMINAL_NAME_BYTES 63
#define TERMINAL_ROWS       24 /* until a client says more */
#define TERMINAL_COLS       80
#define TERMINAL_RECALL_BYTES (256u << 10) /* what a client that joins gets of before */
#define TERMINAL_STALL_MS   10000 /* so long others wait for a client that takes nothing */

struct terminal_wish {
    const char *name;   /* NULL: the next number. One that there is already is given back as it is */
    const char *cwd;    /* NULL: the workspace; relative to that. One that is not there: the workspace */
    const char *sandbox; /* id or name; NULL: the user's default one, which is made when there is none */
    bool is_private;
    unsigned rows, cols; /* 0: the usual */
};

/* Does not wait. ERR_INVALID: no such name is possible; ERR_QUOTA, ERR_NOT_FOUND, ERR_GONE, ERR_UNAVAILABLE: of its sandbox. */
int terminal_open(struct hub *h, struct user *u, const struct terminal_wish *w, struct terminal **ret, struct err *e);
/* Answers its model when its program runs, or why it does not. NULL: it was answered at once. */
struct wait *terminal_await(struct terminal *t, reply_fn done, void *arg);
/* Its program and all it started get SIGHUP, then KILL; its clients hear of its end. ERR_UNAVAILABLE while its sandbox is being reached
 * again: nothing has happened then. */
int terminal_close(struct terminal *t, struct err *e);

/* Of the user's, by name. ERR_NOT_FOUND; ERR_UNAVAILABLE while a sandbox of an earlier hub has not yet said which it has. */
int terminal_find(struct hub *h, const struct user *u, const char *name, struct terminal **ret, struct err *e);
/* {"name","last_activity"}, as Jupyter Server has it. */
void terminal_write(const struct terminal *t, struct buf *out);
/* The list of them; ERR_UNAVAILABLE as above. */
int terminal_write_all(struct hub *h, const struct user *u, struct buf *out, struct err *e);

/* There is output to take, room for input, or its end. Called from anywhere but terminal_take and terminal_input. */
typedef void terminal_changed_fn(void *arg);

/* Holds the sandbox's idle time off. */
struct terminal_client *terminal_attach(struct terminal *t, terminal_changed_fn *changed, void *arg);
void terminal_detach(struct terminal_client *c);

/* Copies at most `size` bytes of what the client has not taken yet; returns how many. The program waits for its slowest client; but one
 * that others have to wait for, TERMINAL_STALL_MS long, is dropped: it gets nothing more. */
size_t terminal_read(struct terminal_client *c, char *out, size_t size);
void terminal_take(struct terminal_client *c, size_t n);
/* Returns how many bytes were taken; the rest, when there is room. */
size_t terminal_input(struct terminal_client *c, struct slice bytes);
/* The terminal has the smallest size of all its clients. */
void terminal_resize(struct terminal_client *c, unsigned rows, unsigned cols);

struct terminal_view {
    bool is_dropped; /* this client was too slow */
    bool is_over;    /* nothing more is written: when all is read that is its end */
    bool failed;     /* not its program's own end: `text` says why */
    char text[200];  /* "exit code 0", "signal 9", "the sandbox is gone: …" */
};
struct terminal_view terminal_look(const struct terminal_client *c);

#endif
