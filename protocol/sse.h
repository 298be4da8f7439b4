/* sse.h - server-sent events as text (WHATWG HTML, 9.2 "Server-sent events"). */
#ifndef PROTOCOL_SSE_H
#define PROTOCOL_SSE_H

#include "base/buf.h"

/* Appends "id: SEQ\ndata: LINE\n\n". `line` holds no newline. No `event:` (API.md says why). */
void sse_write_event(struct buf *out, uint64_t seq, struct slice line);

/* Appends a comment, which readers ignore: it keeps proxies awake and shows us a client that left. */
void sse_write_ping(struct buf *out);

/* Reads a Last-Event-ID. False when it is not a plain decimal number below 2^63. */
bool sse_parse_id(struct slice text, uint64_t *ret);

#endif
