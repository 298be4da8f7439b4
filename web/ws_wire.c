/* What comes in goes through wslay, and what it answers by itself; our messages are whole frames that are not masked, so they need no
 * more than a head (RFC 6455, 5.2), and a large one is sent from where it lies:
 *
 *     ws_wire_take ──► in ──► wslay_event_recv ──► message ──► on_text
 *     ws_wire_ping, ws_wire_close, pongs ──► wslay_event_send ──► out ──┐
 *     ws_wire_text, ws_wire_give ──► messages ──head, small ones──► out ─┴─► ws_wire_out
 *                                             ──a large one's payload──────► ws_wire_out
 *
 * wslay does not collect messages for us: it would allocate what a frame's head merely announces, and about a
 * hundred bytes for each frame of a message that comes in frames of one byte.
 *
 * It checks every text, too. Where that is not wanted, text frames become binary ones on their way to it. */
#include "web/ws_wire.h"

#include <assert.h>
#include <stdlib.h>
#include <wslay/wslay.h>

#include "base/buf.h"
#include "base/cleanup.h"

#define OUT_BYTES    (64u * 1024)
#define SMALL_BYTES  (16u * 1024)  /* such a message is copied behind others */
#define PIECE_BYTES  (256u * 1024) /* of a large one, at a time */
#define ROOM_BYTES   (64u * 1024)
#define ROOM_COUNT   256
#define KEEP_BYTES   4096
#define REASON_BYTES 123
#define MAX_HEAD     14

/* Where in a frame of the client the next byte stands. */
struct in_frame {
    uint8_t head[MAX_HEAD];
    size_t n_head;
    uint64_t payload_left;
};

/* A message that waits, or is being sent. */
struct ws_message {
    struct ws_message *next;
    bool is_binary;
    size_t len;
    char *data;
};

struct ws_wire {
    struct ws_wire_events events;
    void *arg;
    struct wslay_event_context *wslay;
    struct slice in;
    struct in_frame at; /* of any_kind only */
    struct buf message; /* the data frames so far */
    struct buf out;
    size_t out_at;                   /* sent */
    uint64_t payload_left;           /* of the frame that wslay is writing; 0: a head comes next */
    struct ws_message *first, *last; /* wait */
    size_t n_messages, message_bytes;
    struct ws_message *large; /* its head is in `out`, or sent */
    size_t large_at;
    bool is_control; /* the frame that is coming in */
    bool is_broken;  /* wslay gave up on the framing */
    bool is_closing;
};

/* Empties it; what is large goes back, for most sockets are idle most of the time. */
static void let_go(struct buf *b)
{
    if (b->capacity > KEEP_BYTES)
        buf_done(b);
    buf_reset(b);
}

/* ---- in ---- */

/* The bytes of a frame's head that begins so; at least two are known. */
static size_t head_bytes(const uint8_t *head)
{
    unsigned n = head[1] & 0x7f;
    return 2 + (n == 127 ? 8 : n == 126 ? 2 : 0) + (head[1] & 0x80 ? 4 : 0);
}

static uint64_t payload_bytes(const uint8_t *head)
{
    uint64_t n = head[1] & 0x7f;
    size_t end = n == 127 ? 10 : n == 126 ? 4 : 2;
    for (size_t i = 2; i < end; i++)
        n = (i > 2 ? n << 8 : 0) | head[i];
    return n;
}

static void make_binary(struct in_frame *at, uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n;) {
        if (at->payload_left) {
            size_t skip = at->payload_left < n - i ? (size_t)at->payload_left : n - i;
            at->payload_left -= skip;
            i += skip;
            continue;
        }
        if (at->n_head == 0 && (bytes[i] & 0x0f) == WSLAY_TEXT_FRAME)
            bytes[i] = (uint8_t)((bytes[i] & 0xf0) | WSLAY_BINARY_FRAME);
        at->head[at->n_head++] = bytes[i++];
        if (at->n_head >= 2 && at->n_head == head_bytes(at->head)) {
            at->payload_left = payload_bytes(at->head);
            at->n_head = 0;
        }
    }
}

static ssize_t on_want_bytes(wslay_event_context_ptr wslay, uint8_t *to, size_t max, int flags,
                             void *arg)
{
    struct ws_wire *w = arg;
    size_t n = w->in.len < max ? w->in.len : max;
    if (n == 0) {
        wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(to, w->in.data, n);
    w->in = slice_of(w->in.data + n, w->in.len - n);
    if (w->events.any_kind)
        make_binary(&w->at, to, n);
    return (ssize_t)n;
}

static void on_frame(wslay_event_context_ptr wslay,
                     const struct wslay_event_on_frame_recv_start_arg *frame, void *arg)
{
    struct ws_wire *w = arg;
    w->is_control = wslay_is_ctrl_frame(frame->opcode);
    if (frame->opcode == WSLAY_BINARY_FRAME && !w->events.on_binary)
        ws_wire_close(w, WS_CLOSE_UNSUPPORTED, "messages are text");
}

static void on_chunk(wslay_event_context_ptr wslay,
                     const struct wslay_event_on_frame_recv_chunk_arg *chunk, void *arg)
{
    struct ws_wire *w = arg;
    if (w->is_control || w->is_closing)
        return;
    buf_add(&w->message, chunk->data, chunk->data_length);
    if (w->message.failed)
        ws_wire_close(w, WS_CLOSE_TOO_BIG, "the message is above the limit");
}

static void on_message(wslay_event_context_ptr wslay, const struct wslay_event_on_msg_recv_arg *m,
                       void *arg)
{
    struct ws_wire *w = arg;
    if (w->is_closing)
        return;
    if (m->opcode == WSLAY_TEXT_FRAME || m->opcode == WSLAY_BINARY_FRAME) {
        void (*on_it)(void *, struct slice) =
            m->opcode == WSLAY_TEXT_FRAME ? w->events.on_text : w->events.on_binary;
        on_it(w->arg, buf_slice(&w->message));
        let_go(&w->message);
    } else if (m->opcode == WSLAY_PONG) {
        w->events.on_pong(w->arg, slice_of(m->msg, m->msg_length));
    }
}

void ws_wire_take(struct ws_wire *w, struct slice bytes)
{
    size_t before = 0;
    for (w->in = bytes; !w->is_closing && w->in.len != before;) {
        before = w->in.len;
        if (wslay_event_recv(w->wslay) < 0)
            w->is_broken = true;
        if (!wslay_event_get_read_enabled(w->wslay)) /* it has queued its close */
            w->is_closing = true;
    }
    w->in = slice_of(NULL, 0);
    if (w->is_closing)
        buf_done(&w->message);
}

/* ---- out ---- */

/* How many bytes of the frame that begins in `data` are not in there. */
static uint64_t left_of_frame(const uint8_t *data, size_t len)
{
    return payload_bytes(data) - (len - head_bytes(data));
}

/* wslay hands over a frame's head whole, then its payload in pieces. When the framing was broken it
 * closes without saying why: we say it. */
static ssize_t on_bytes(wslay_event_context_ptr wslay, const uint8_t *data, size_t len, int flags,
                        void *arg)
{
    static const uint8_t BROKEN[] = { 0x88, 2, WS_CLOSE_PROTOCOL >> 8, WS_CLOSE_PROTOCOL & 0xff };
    struct ws_wire *w = arg;
    if (w->out.len - w->out_at >= OUT_BYTES) {
        wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    if (w->payload_left == 0) {
        bool says_nothing = len == 2 && data[0] == 0x88 && data[1] == 0;
        if (w->is_broken && says_nothing)
            buf_add(&w->out, BROKEN, sizeof BROKEN);
        else
            buf_add(&w->out, data, len);
        w->payload_left = left_of_frame(data, len);
        return (ssize_t)len;
    }
    size_t n = len < OUT_BYTES ? len : OUT_BYTES;
    buf_add(&w->out, data, n);
    w->payload_left -= n;
    return (ssize_t)n;
}

static void message_free(struct ws_message *m)
{
    if (m)
        free(m->data);
    free(m);
}

static struct ws_message *next_message(struct ws_wire *w)
{
    struct ws_message *m = w->first;
    w->first = m->next;
    if (!w->first)
        w->last = NULL;
    w->n_messages--;
    w->message_bytes -= m->len;
    return m;
}

void ws_wire_give(struct ws_wire *w, bool is_binary, char *data, size_t len)
{
    if (w->is_closing) {
        free(data);
        return;
    }
    struct ws_message *m = calloc(1, sizeof *m);
    if (!m)
        abort();
    *m = (struct ws_message){ .is_binary = is_binary, .len = len, .data = data };
    if (w->last)
        w->last->next = m;
    else
        w->first = m;
    w->last = m;
    w->n_messages++;
    w->message_bytes += len;
}

void ws_wire_text(struct ws_wire *w, struct slice text)
{
    char *data = malloc(text.len + 1);
    if (!data)
        abort();
    if (text.len)
        memcpy(data, text.data, text.len);
    ws_wire_give(w, false, data, text.len);
}

static void write_head(struct buf *out, const struct ws_message *m)
{
    buf_add_char(out, (char)(0x80 | (m->is_binary ? WSLAY_BINARY_FRAME : WSLAY_TEXT_FRAME)));
    if (m->len < 126) {
        buf_add_char(out, (char)m->len);
    } else if (m->len <= UINT16_MAX) {
        const char length[] = { 126, (char)(m->len >> 8), (char)m->len };
        buf_add(out, length, sizeof length);
    } else {
        buf_add_char(out, 127);
        buf_add_u64be(out, m->len);
    }
}

/* A close goes before what waits, and nothing after it. */
static void refill(struct ws_wire *w)
{
    let_go(&w->out);
    w->out_at = 0;
    (void)wslay_event_send(w->wslay); /* fails only for want of memory; then nothing comes */
    while (!w->is_closing && w->first && w->out.len < OUT_BYTES && !w->large) {
        struct ws_message *m = next_message(w);
        write_head(&w->out, m);
        if (m->len > SMALL_BYTES) {
            w->large = m;
            w->large_at = 0;
        } else {
            buf_add(&w->out, m->data, m->len);
            message_free(m);
        }
    }
}

void ws_wire_ping(struct ws_wire *w, struct slice payload)
{
    const struct wslay_event_msg m = { .opcode = WSLAY_PING,
                                       .msg = (const uint8_t *)payload.data,
                                       .msg_length = payload.len };
    if (!w->is_closing && wslay_event_queue_msg(w->wslay, &m) == WSLAY_ERR_NOMEM)
        abort();
}

void ws_wire_close(struct ws_wire *w, enum ws_close code, const char *reason)
{
    size_t n = strlen(reason);
    if (w->is_closing)
        return;
    w->is_closing = true;
    wslay_event_shutdown_read(w->wslay);
    /* fails only when it has queued one itself */
    (void)wslay_event_queue_close(w->wslay, (uint16_t)code, (const uint8_t *)reason,
                                  n < REASON_BYTES ? n : REASON_BYTES);
}

struct slice ws_wire_out(struct ws_wire *w)
{
    if (w->out_at == w->out.len && !w->large)
        refill(w);
    if (w->out_at < w->out.len)
        return slice_of(w->out.data + w->out_at, w->out.len - w->out_at);
    if (!w->large)
        return slice_of(NULL, 0);
    size_t left = w->large->len - w->large_at;
    return slice_of(w->large->data + w->large_at, left < PIECE_BYTES ? left : PIECE_BYTES);
}

void ws_wire_sent(struct ws_wire *w, size_t n)
{
    if (w->out_at < w->out.len) {
        w->out_at += n;
        return;
    }
    w->large_at += n;
    if (w->large_at == w->large->len)
        message_free(TAKE(w->large));
}

static size_t bytes_left(const struct ws_wire *w)
{
    return w->out.len - w->out_at + (w->large ? w->large->len - w->large_at : 0);
}

bool ws_wire_has_room(const struct ws_wire *w)
{
    return wslay_event_get_queued_msg_length(w->wslay) + w->message_bytes + bytes_left(w) <
               ROOM_BYTES &&
           wslay_event_get_queued_msg_count(w->wslay) + w->n_messages < ROOM_COUNT;
}

bool ws_wire_is_empty(const struct ws_wire *w)
{
    return bytes_left(w) == 0 && !w->first && wslay_event_get_queued_msg_count(w->wslay) == 0;
}

bool ws_wire_is_closing(const struct ws_wire *w)
{
    return w->is_closing;
}

/* ---- life ---- */

struct ws_wire *ws_wire_new(size_t max_bytes, const struct ws_wire_events *events, void *arg)
{
    static const struct wslay_event_callbacks CALLBACKS = {
        .recv_callback = on_want_bytes,
        .send_callback = on_bytes,
        .on_frame_recv_start_callback = on_frame,
        .on_frame_recv_chunk_callback = on_chunk,
        .on_msg_recv_callback = on_message,
    };
    struct ws_wire *w = calloc(1, sizeof *w);
    assert(w);
    w->events = *events;
    w->arg = arg;
    buf_init(&w->message, max_bytes);
    buf_init(&w->out, 2 * OUT_BYTES + MAX_HEAD);
    if (wslay_event_context_server_init(&w->wslay, &CALLBACKS, w) != 0)
        abort(); /* no memory */
    wslay_event_config_set_no_buffering(w->wslay, 1);
    wslay_event_config_set_max_recv_msg_length(w->wslay, max_bytes);
    return w;
}

void ws_wire_free(struct ws_wire *w)
{
    if (!w)
        return;
    wslay_event_context_free(w->wslay);
    while (w->first)
        message_free(next_message(w));
    message_free(w->large);
    buf_done(&w->message);
    buf_done(&w->out);
    free(w);
}
