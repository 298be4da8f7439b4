/* Bytes move only when libmicrohttpd wants them, so a slow reader costs one line and
 * libmicrohttpd's buffer:
 *
 *     follower_next ──► line ──► pieces [head][line][tail] ──► fill() ──► socket
 *
 * A line longer than the room is sent in pieces. When there is nothing to send, fill() suspends the
 * connection (to return 0 alone would spin) and on_ready resumes it. */
#include "web/stream.h"

#include <stdlib.h>

#include "base/log.h"
#include "protocol/sse.h"
#include "web/reply.h"
#include "web/request.h"

#define PING_MS  15000
#define N_PIECES 3

#define MAX_CLOSING_BYTES (8u * 1024 * 1024)

struct stream {
    struct request *request;
    struct follower *follower;
    enum form form;
    struct buf frame; /* head and tail of an event, or a whole ping */
    struct slice pieces[N_PIECES];
    bool is_started; /* the reply is decided */
    bool is_over;    /* nothing comes after the pieces */
    bool is_complete;
    bool is_cut;
    bool ping_is_due;
    int64_t sent_ms;
    struct follower *(*next)(void *arg); /* of a series; else NULL */
    void *next_arg;
    bool has_said;      /* the present follower has given a line */
    struct buf closing; /* the last line of a series */
    bool is_closing;
};

struct stream *stream_new(struct request *r, enum form form)
{
    struct stream *s = calloc(1, sizeof *s);
    assert(s);
    *s = (struct stream){ .request = r,
                          .form = form,
                          .frame = BUF_INIT(256),
                          .sent_ms = zclock_mono(),
                          .closing = BUF_INIT(MAX_CLOSING_BYTES) };
    r->stream = s;
    return s;
}

void stream_free(struct stream *s)
{
    if (!s)
        return;
    follower_free(s->follower);
    buf_done(&s->frame);
    buf_done(&s->closing);
    free(s);
}

bool stream_is_complete(const struct stream *s)
{
    return s->is_complete;
}

/* ---- pieces ---- */

static void frame_line(struct stream *s, uint64_t seq, struct slice line)
{
    buf_reset(&s->frame);
    if (s->form == FORM_SSE)
        sse_write_event(&s->frame, seq,
                        slice_of(NULL, 0)); /* "id: 7\ndata: " and "\n\n": the line goes between */
    else
        buf_add_char(&s->frame, '\n');
    size_t tail = s->form == FORM_SSE ? 2 : 1, head = s->frame.len - tail;
    s->pieces[0] = slice_of(s->frame.data, head);
    s->pieces[1] = line;
    s->pieces[2] = slice_of(s->frame.data + head, tail);
}

static void frame_ping(struct stream *s)
{
    buf_reset(&s->frame);
    if (s->form == FORM_SSE)
        sse_write_ping(&s->frame);
    else
        buf_add_str(&s->frame, "{\"v\":1,\"type\":\"ping\"}\n");
    s->pieces[0] = buf_slice(&s->frame);
}

static size_t copy_pieces(struct stream *s, char *out, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < N_PIECES && n < max; i++) {
        struct slice *p = &s->pieces[i];
        size_t k = p->len < max - n ? p->len : max - n;
        if (k)
            memcpy(out + n, p->data, k);
        *p = slice_of(p->data + k, p->len - k);
        n += k;
    }
    return n;
}

/* The last line of a series into the pieces. False while more may come before it. */
static bool close_series(struct stream *s)
{
    if (!s->is_closing)
        return false;
    s->is_over = s->is_complete = true;
    s->pieces[0] = s->form == FORM_SSE ? SLICE_LITERAL("data: ") : SLICE_LITERAL("");
    s->pieces[1] = buf_slice(&s->closing);
    s->pieces[2] = s->form == FORM_SSE ? SLICE_LITERAL("\n\n") : SLICE_LITERAL("\n");
    return true;
}

/* What the present follower says next; of a series that has none now, of the next one that says something. */
static enum follow ask_followers(struct stream *s, uint64_t *seq, struct slice *line, struct err *e)
{
    for (;;) {
        if (!s->follower && !(s->follower = s->next(s->next_arg)))
            return FOLLOW_WAIT;
        enum follow said = follower_next(s->follower, seq, line, e);
        bool is_next = s->next && (said == FOLLOW_END || (said == FOLLOW_FAILED && !s->has_said));
        s->has_said = said == FOLLOW_LINE || (s->has_said && !is_next);
        if (!is_next)
            return said;
        follower_free(TAKE(s->follower));
    }
}

/* The next line into the pieces. False when there is none now, or never again. */
static bool advance(struct stream *s, struct err *e)
{
    uint64_t seq;
    struct slice line;
    switch (ask_followers(s, &seq, &line, e)) {
    case FOLLOW_LINE:
        frame_line(s, seq, line);
        return true;
    case FOLLOW_WAIT:
        return !s->follower && close_series(s);
    case FOLLOW_END:
        s->is_complete = true;
        break;
    case FOLLOW_FAILED:
        s->is_cut = true;
        break;
    }
    s->is_over = true;
    return false;
}

static ssize_t fill(void *arg, uint64_t pos, char *out, size_t max)
{
    struct stream *s = arg;
    struct err e = ERR_INIT;
    size_t n = s->is_cut ? 0 : copy_pieces(s, out, max);
    while (n < max && !s->is_over && advance(s, &e))
        n += copy_pieces(s, out + n, max - n);
    if (n == 0 && !s->is_over && s->ping_is_due) {
        frame_ping(s);
        n = copy_pieces(s, out, max);
    }
    if (n) {
        s->ping_is_due = false;
        s->sent_ms = zclock_mono();
        return (ssize_t)n;
    }
    if (s->is_over) {
        if (e.code != ERR_NONE)
            log_warning("stream broken id=%s code=%s", s->request->id.text, err_name(e.code));
        return s->is_cut ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
    }
    if (s->request->socket->peer_has_left)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    request_suspend(s->request);
    return 0;
}

/* ---- the beginning ---- */

static void start(struct stream *s)
{
    struct err e = ERR_INIT;
    bool has_line = advance(s, &e);
    if (!has_line && !s->is_over)
        return;
    s->is_started = true;
    if (s->is_cut)
        reply_error(s->request, &e);
    else if (!has_line && s->form == FORM_SSE)
        reply_empty(s->request, 204);
    else
        reply_stream(s->request, form_media_type(s->form), fill, s);
}

void stream_on_ready(void *arg)
{
    struct stream *s = arg;
    if (s->is_started)
        request_wake(s->request);
    else if (s->follower || s->next)
        start(s);
}

void stream_series(struct stream *s, struct follower *(*next)(void *arg), void *arg)
{
    s->next = next;
    s->next_arg = arg;
}

void stream_close(struct stream *s, struct slice line)
{
    buf_add_slice(&s->closing, line);
    s->is_closing = true;
    stream_on_ready(s);
}

void stream_follow(struct stream *s, struct follower *follower)
{
    s->follower = follower;
    start(s);
}

/* ---- time and endings ---- */

void stream_tick(struct stream *s, int64_t now_ms)
{
    if (!s->is_started || !s->request->is_suspended || now_ms - s->sent_ms < PING_MS)
        return;
    s->ping_is_due = true;
    request_wake(s->request);
}

void stream_end(struct stream *s)
{
    s->is_over = true;
    request_wake(s->request);
}

void stream_cut(struct stream *s)
{
    s->is_over = s->is_cut = true;
    request_wake(s->request);
}
