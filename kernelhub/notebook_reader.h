/* notebook_reader.h - a session's history on its way out as a notebook (notebook.h), a piece at a time, at the reader's own speed. */
#ifndef KERNELHUB_NOTEBOOK_READER_H
#define KERNELHUB_NOTEBOOK_READER_H

#include "kernelhub/follower.h"

struct notebook_reader;

/* Strings are borrowed for the call. A session counts by its name, as in the history: one that has ended too, and all that were ever
 * called so. */
struct notebook_wish {
    const char *session;
    int64_t since_us, until_us; /* cells accepted from here on, and before; 0: no bound */
    bool without_outputs;
};

/* on_ready is called (from the loop, never from inside another verb of this) when notebook_reader_next may have something new after
 * it said FOLLOW_WAIT. */
struct notebook_reader *notebook_reader_new(struct hub *h, const struct user *u,
                                            const struct notebook_wish *w,
                                            void (*on_ready)(void *arg), void *arg);
void notebook_reader_free(struct notebook_reader *r); /* NULL is fine; no on_ready afterwards */

/* FOLLOW_LINE: the next piece, valid until the next call; together they are one JSON object. FOLLOW_END: that was all. FOLLOW_FAILED: e
 * says why; ERR_NOT_FOUND, before the first piece: no session is called so, and none was. */
enum follow notebook_reader_next(struct notebook_reader *r, struct slice *ret_piece, struct err *e);

#endif
