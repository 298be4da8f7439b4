/* jupyter_message.h - one message of the Jupyter protocol as slices of the frames it came in.
 * Source: "Messaging in Jupyter", The Wire Protocol: [ids…] <IDS|MSG> signature header parent_header
 * metadata content [buffers…]; the signature is the lower-case hex HMAC-SHA256 of the four JSON frames. */
#ifndef PROTOCOL_JUPYTER_MESSAGE_H
#define PROTOCOL_JUPYTER_MESSAGE_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/uuid.h"

#define JUPYTER_DELIMITER       "<IDS|MSG>"
#define JUPYTER_SIGNATURE_CHARS 64
#define JUPYTER_MAX_BUFFERS     500
#define JUPYTER_MAX_MEND_BYTES  (4u << 20) /* nobody's loop shall stand still for what a hostile kernel makes up */

struct jupyter_message {
    struct slice header;
    struct slice parent;
    struct slice metadata;
    struct slice content;
    size_t n_buffers;
    struct slice buffers[JUPYTER_MAX_BUFFERS];
};

/* Cuts a multipart message. False when the delimiter or one of the four JSON frames is missing or
 * there are too many buffers. The signature is not looked at (DESIGN §2: we sign, we do not verify). */
bool jupyter_cut(const struct slice *frames, size_t n, struct jupyter_message *ret);

/* 64 hex characters and a NUL. An empty key gives an empty signature. */
void jupyter_sign(struct slice key, const struct jupyter_message *m, char ret[JUPYTER_SIGNATURE_CHARS + 1]);

/* The few fields we route by; empty strings when absent or too long. */
struct jupyter_header {
    char msg_id[128];
    char msg_type[64];
};
/* False when `header` is no JSON object. */
bool jupyter_read_header(struct slice header, struct jupyter_header *ret);

/* Appends a header of ours: version 5.4, username and session as given, date from unix time in µs. */
void jupyter_write_header(struct buf *out, const char *msg_id, const char *msg_type,
                          const char *session, int64_t unix_us);

/* "2026-11-21T10:00:00.123456Z" and a NUL. */
void jupyter_format_time(int64_t unix_us, char ret[28]);

#endif
