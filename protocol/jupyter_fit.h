/* jupyter_fit.h - a kernel's message made to fit a client that takes less than kernels say: no binary frames, or none that are long.
 *
 *   stream            in several messages, cut at characters: nothing is lost
 *   display, result   the largest values of its bundle go, until it fits; text/plain says which and where they are
 *   comm_*            without its buffers (data.buffer_paths is then empty); one that is still too long is left out
 *   anything else     long texts are cut and say so, long lists and objects are empty */
#ifndef PROTOCOL_JUPYTER_FIT_H
#define PROTOCOL_JUPYTER_FIT_H

#include "base/buf.h"
#include "base/slice.h"

struct jupyter_fit {
    bool takes_buffers;     /* false: a message with buffers is said without them */
    size_t max_frame_bytes; /* of a frame of text (kernel_ws.h), at least 64 KiB; 0: any. What has buffers is not measured */
    const char *where;      /* for people: where all of it is; plain text without quotes or backslashes */
    void (*say)(void *arg, const struct slice *parts, size_t n_parts); /* good during the call */
    void *arg;
};

enum jupyter_fitted {
    JUPYTER_FITTED,            /* whole, or what is missing says so itself */
    JUPYTER_FITTED_NO_BUFFERS, /* without its buffers: nothing in it says so */
    JUPYTER_FITTED_NOT,        /* nothing was said */
};

/* parts: header, parent_header, metadata, content, buffers…, mended (jupyter_mend.h). */
bool jupyter_fits(const struct jupyter_fit *f, const struct slice *parts, size_t n_parts); /* as it is */

/* Says what stands for the message: if it fits, itself. Of a stream's messages all but the first have a number behind their msg_id. */
enum jupyter_fitted jupyter_fit(const struct jupyter_fit *f, const struct slice *parts, size_t n_parts);

#endif
