/* sse_reader.h - server-sent events as a client reads them, in whatever pieces they come (WHATWG
 * HTML 9.2.6). */
#ifndef CMD_SSE_READER_H
#define CMD_SSE_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define SSE_READER_MAX_BYTES (64u << 20) /* of one event */
#define SSE_READER_ID_SIZE   128

/* One event: its id when it is a number (else 0) and its data lines joined by newlines; valid
 * during the call. */
typedef void (*sse_event_fn)(void *arg, uint64_t id, struct slice data);

struct sse_reader {
    sse_event_fn on_event;
    void *arg;
    struct buf line, data;
    uint64_t id;
    char id_text
        [SSE_READER_ID_SIZE]; /* the newest as it came; "": none, or too long to be given back */
    int64_t retry_ms;         /* after which the stream wants to be asked for again; -1: not said */
    bool has_data, after_cr, begun;
};

void sse_reader_init(struct sse_reader *r, sse_event_fn on_event, void *arg);
void sse_reader_done(struct sse_reader *r);

/* Forgets what is half read: for a new connection. */
void sse_reader_reset(struct sse_reader *r);

/* False when an event is larger than SSE_READER_MAX_BYTES; then no more may be fed. */
bool sse_reader_feed(struct sse_reader *r, struct slice bytes);

#endif
