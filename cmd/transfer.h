/* transfer.h - one file on its way to the service or from it, however large, over as many connections as it takes. */
#ifndef CMD_TRANSFER_H
#define CMD_TRANSFER_H

#include "cmd/client.h"
#include "cmd/progress.h"

/* How it went: errors of the service have its words; with progress->caught somebody wanted it to end. */

/* What `fd` has from where it stands becomes the file at `path` (a PUT). bytes: so many, -1: to its end, whatever that is; only what can
 * be rewound is sent again when the connection breaks. keep: nothing may be there yet. *ret (may be NULL) is the reply. */
struct transfer_up {
    const char *path;
    int fd;
    int64_t bytes;
    bool keep;
    struct progress *progress;
    void **
        line; /* the connection, kept for the next: begins as NULL, ends with transfer_hang_up. NULL: it is not kept */
};
int transfer_up(struct client *c, const struct transfer_up *t, json_t **ret, struct err *e);
void transfer_hang_up(void *line);

/* What is at `path` is written to fd. A connection that breaks is taken up again behind what has come, as long as the file is the same
 * (its ETag); else it begins anew, where fd can be rewound. *ret_bytes: so many were written. */
struct transfer_down {
    const char *path;
    int fd;
    struct progress *progress;
};
int transfer_down(struct client *c, const struct transfer_down *t, int64_t *ret_bytes,
                  struct err *e);

#endif
