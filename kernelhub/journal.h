/* journal.h - the last lines of one sandbox's life: made, kernels started and died (with the end of what they printed), ended. */
#ifndef KERNELHUB_JOURNAL_H
#define KERNELHUB_JOURNAL_H

#include "base/buf.h"

#define JOURNAL_MAX_LINES      200
#define JOURNAL_MAX_LINE_BYTES 4096 /* of a longer text the end is kept */

struct journal;

struct journal *journal_new(void);
void journal_free(struct journal *j); /* NULL is fine */

/* `event` is a word of ours and static; `text` is copied, from a stranger or not. The oldest line goes when there are too many. */
void journal_add(struct journal *j, int64_t unix_us, const char *event, struct slice text);

/* {"items":[{"ts","event","text"},…],"dropped":N}: the last `tail` lines, oldest first; dropped: older ones that are not kept. */
void journal_write(const struct journal *j, size_t tail, struct buf *out);

#endif
