/* jupyter_mend.h - a kernel's message made good enough for clients that check it: JupyterLab drops what lacks a field, and
 * the frame of what is no JSON. A message that is good already is passed on as it came, byte for byte.
 * Source: "Messaging in Jupyter"; what is checked: @jupyterlab/services, kernel/validate.ts. */
#ifndef PROTOCOL_JUPYTER_MEND_H
#define PROTOCOL_JUPYTER_MEND_H

#include "base/buf.h"
#include "base/slice.h"
#include "protocol/jupyter_message.h"

enum { JUPYTER_N_PARTS = 4 }; /* header, parent_header, metadata, content */

struct jupyter_mended {
    struct slice part[JUPYTER_N_PARTS]; /* of what was given, or of `made` */
    struct buf made[JUPYTER_N_PARTS];
    struct jupyter_header names; /* of its header */
};

/* Mends: what is no JSON (NaN and Infinity become null, broken text U+FFFD), parts that are no objects, a header without
 * one of its strings, on iopub a content that lacks one of its type's fields. A part above 4 MiB is not repaired: what is no
 * JSON there, or has a field of another type, becomes {}; what only lacks a field gets it. `parts` has four and has to outlive *ret. False: it
 * is beyond that (no header, no msg_type, memory), and nothing of *ret is to be used. jupyter_mended_done either way. */
bool jupyter_mend(const struct slice *parts, bool is_iopub, struct jupyter_mended *ret);
void jupyter_mended_done(struct jupyter_mended *m);

#define CLEANUP_MENDED __attribute__((cleanup(jupyter_mended_done)))

#endif
