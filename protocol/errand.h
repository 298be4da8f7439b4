/* errand.h - what the hub may ask of the courier (courier.sock): frames of frame.h, each one JSON object. One kind of request:
 *
 *   {"id":N,"url":U,"message_id":M,"timestamp":T,"signature":S,"timeout_ms":MS,"body":TEXT}
 *
 * POST the body to the URL, with the headers of Standard Webhooks (webhook-id, webhook-timestamp, webhook-signature) and no
 * others of the hub's choice. The reply is as of a verb (verb.h): {"id":N,"ok":true,"status":HTTP,"retry_after":seconds} whatever
 * the receiver answered; {"id":N,"ok":false,"error":{…}} when there was no answer, with code policy_denied when the address is
 * forbidden, timeout, busy, else unavailable. */
#ifndef PROTOCOL_ERRAND_H
#define PROTOCOL_ERRAND_H

#include "base/buf.h"
#include "base/err.h"
#include "protocol/decode.h"

#define ERRAND_MAX_FRAME_BYTES (16u << 20)
#define ERRAND_MAX_URL         2048
#define ERRAND_MAX_TIMEOUT_MS  120000

struct errand {
    uint64_t id;
    char url[ERRAND_MAX_URL + 1];  /* http:// or https://, printable ASCII */
    char message_id[64];           /* letters, digits, -, _ */
    int64_t timestamp;             /* unix seconds */
    char signature[256];           /* "v1,BASE64" */
    int64_t timeout_ms;
    struct slice body;             /* encode: the text; decode: raw, between its quotes (json_unescape) */
};

/* "http://" or "https://", then 1 to ERRAND_MAX_URL printable ASCII characters of those that a URL may have. */
bool errand_url_is_plain(struct slice url);

/* Appends a whole frame, length first. */
void errand_encode(struct buf *out, const struct errand *a);

/* Decodes a frame's body strictly: unknown, repeated or missing fields and wrong values are BAD, and `e` says which. */
enum decode errand_decode(struct slice body, struct errand *ret, struct err *e);

#endif
