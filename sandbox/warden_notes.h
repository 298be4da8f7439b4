/* warden_notes.h - what the next warden of this sandbox has to know of the kernels that live, should this one die: kept in a
 * small file that only a warden of this sandbox holds open. */
#ifndef SANDBOX_WARDEN_NOTES_H
#define SANDBOX_WARDEN_NOTES_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/uuid.h"

/*   0     "khnotes1" … 64: one byte per number, 1: code runs there (mapped: setting it costs no system call)
 *   4096  number 1: u32 length | hash | {"kernel_id","key","ready","order":{…}}
 *   …     one place per number
 *
 * A place is written at once and carries a hash: what a death has torn is no note. It holds the key and the order's
 * variables, so the file lies in memory (tmpfs) in a folder of root's, and its owner is the warden's id. */
struct warden_notes;

struct warden_note {
    struct uuid kernel_id;
    char key[65];
    bool ready; /* it was, once */
    bool busy;  /* code ran there */
    struct slice order; /* of what was read; good for warden_order_read */
};

/* As root, before anything is given up. Made when it is not there. */
int warden_notes_open(const char *path, unsigned uid, struct warden_notes **ret, struct err *e);
void warden_notes_free(struct warden_notes *n); /* the file stays */
DEFINE_CLEANUP(struct warden_notes, warden_notes_free)

/* All: n NULL is fine, then nothing is noted. A note that cannot be written is none, and its kernel will not be kept. */
void warden_notes_put(struct warden_notes *n, unsigned number, const struct uuid *kernel_id, const char *key, bool ready,
                      struct slice order);
void warden_notes_remove(struct warden_notes *n, unsigned number);
void warden_notes_set_busy(struct warden_notes *n, unsigned number, bool busy);

/* What stands in a place, for warden_notes_read and its fuzz target. A warden that is captured may write what it likes. Sets all
 * but `busy`. */
bool warden_note_parse(struct slice json, struct warden_note *ret);

/* False: no kernel has this number. `text` holds what *ret points to. */
bool warden_notes_read(struct warden_notes *n, unsigned number, struct buf *text, struct warden_note *ret);

#endif
