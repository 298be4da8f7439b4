/* stream.h - a feed of events on its way to one client, as SSE or NDJSON, at the client's own
 * speed. */
#ifndef WEB_STREAM_H
#define WEB_STREAM_H

#include "kernelhub/follower.h"
#include "web/accept.h"

struct request;
struct stream;

/* The request's stream; it frees it. FORM_JSON makes no sense here. */
struct stream *stream_new(struct request *r, enum form form);
void stream_free(struct stream *s); /* NULL is fine */

/* What to give to follower_of_…, with the stream as its argument. */
void stream_on_ready(void *stream);

/* Takes the follower and replies as soon as it says something: 200 with its first event, the error
 * when it fails before, 204 when it ends before (SSE: a reconnecting EventSource then stops). */
void stream_follow(struct stream *s, struct follower *follower);

/* The same for several followers, one behind the other: `next` gives the next one, or NULL when there is none yet (call
 * stream_on_ready when there is). One that fails before its first event is left out. After all of them, stream_close. */
void stream_series(struct stream *s, struct follower *(*next)(void *arg), void *arg);
/* The series has no more: behind its last event comes `line`, without a number, and the end. */
void stream_close(struct stream *s, struct slice line);

bool stream_is_complete(const struct stream *s); /* the feed's end was reached */

void stream_tick(struct stream *s, int64_t now_ms); /* a ping after 15 s of silence */
void stream_end(struct stream *s);                  /* an orderly end now: the server stops */
void stream_cut(struct stream *s);                  /* the client has gone */

#endif
