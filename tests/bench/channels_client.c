/* RFC 6455 as a client needs it: its own frames are masked (with zeros: to be cheap is all that matters here), the server's are not and
 * come whole or in pieces.
 *
 *     socket ──256 KiB──► in ──frame──► its type, by the first "msg_type" in it ──► counted; status and reply: looked into */
#include "tests/bench/channels_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json.h"
#include "base/uuid.h"
#include "protocol/jupyter_message.h"
#include "protocol/kernel_ws.h"

#define READ_BYTES  (256u * 1024)
#define MAX_REQUEST (1u << 20)
#define MAX_IN      (1u << 30)
#define SPARE_BYTES (64u << 20)
#define HEAD_BYTES  2000 /* of a message: its type stands in there */

struct channels_client {
    int fd;
    bool is_v1;
    struct buf in;
    size_t at; /* used of in */
    struct uuid session;
    char msg_id[40]; /* of the latest request */
    bool replied, idle;
};

/* ---- bytes ---- */

/* One connection at a time: all use one buffer, whose pages are there. Fresh ones would cost more than what is measured. */
static struct buf spare;

static void take_buffer(struct channels_client *c)
{
    if (!spare.data) {
        buf_init(&spare, MAX_IN);
        char *room = buf_room(&spare, SPARE_BYTES);
        if (!room)
            sample_fail("no memory");
        memset(room, 1, SPARE_BYTES);
    }
    c->in = spare;
    spare = (struct buf){ 0 };
}

static void send_all(struct channels_client *c, struct slice s)
{
    while (s.len) {
        ssize_t n = send(c->fd, s.data, s.len, MSG_NOSIGNAL);
        if (n < 0)
            sample_fail("send: %s", strerror(errno));
        s = slice_of(s.data + n, s.len - (size_t)n);
    }
}

static void read_more(struct channels_client *c, size_t at_least)
{
    if (c->at == c->in.len)
        c->at = c->in.len = 0;
    else if (c->at > 0 && c->in.capacity - c->in.len < at_least + READ_BYTES) {
        buf_drop(&c->in, c->at);
        c->at = 0;
    }
    size_t want = at_least > READ_BYTES ? at_least : READ_BYTES;
    char *room = buf_room(&c->in, want);
    ssize_t n = room ? recv(c->fd, room, want, 0) : -1;
    if (n <= 0)
        sample_fail("the server closed the connection");
    c->in.len += (size_t)n;
}

static const unsigned char *need(struct channels_client *c, size_t n)
{
    while (c->in.len - c->at < n)
        read_more(c, n - (c->in.len - c->at));
    return (const unsigned char *)c->in.data + c->at;
}

/* The next data frame's payload, valid until the next call; a ping is answered, a message in pieces is no Jupyter server's. */
static struct slice next_frame(struct channels_client *c)
{
    for (;;) {
        const unsigned char *head = need(c, 2);
        size_t n = head[1] & 0x7f, size = n == 127 ? 10 : n == 126 ? 4 : 2;
        int opcode = head[0] & 0xf;
        bool is_good = head[0] & 0x80 && !(head[1] & 0x80) && opcode != 8 && opcode != 0;
        head = need(c, size);
        if (size > 2)
            n = 0;
        for (size_t i = 2; i < size; i++)
            n = n << 8 | head[i];
        const char *payload = (const char *)need(c, size + n) + size;
        c->at += size + n;
        if (!is_good)
            sample_fail("a frame of kind %d that was not expected: %.*s", opcode, (int)n, payload);
        if (opcode == 1 || opcode == 2)
            return slice_of(payload, n);
        if (opcode == 9) {
            CLEANUP_BUF struct buf pong = BUF_INIT(256);
            const char begin[] = { (char)0x8a, (char)(0x80 | n), 0, 0, 0, 0 };
            buf_add(&pong, begin, sizeof begin);
            buf_add(&pong, payload, n);
            send_all(c, buf_slice(&pong));
        }
    }
}

static void send_message(struct channels_client *c, struct slice payload)
{
    CLEANUP_BUF struct buf out = BUF_INIT(MAX_REQUEST + 16);
    buf_add_char(&out, (char)(0x80 | (c->is_v1 ? 2 : 1)));
    if (payload.len < 126) {
        buf_add_char(&out, (char)(0x80 | payload.len));
    } else if (payload.len < 65536) {
        const unsigned char length[] = { 0x80 | 126, (unsigned char)(payload.len >> 8),
                                         (unsigned char)payload.len };
        buf_add(&out, length, sizeof length);
    } else {
        buf_add_char(&out, (char)(0x80 | 127));
        buf_add_u64be(&out, payload.len);
    }
    buf_add_u32be(&out, 0); /* the mask */
    buf_add_slice(&out, payload);
    send_all(c, buf_slice(&out));
}

/* ---- messages ---- */

static void ask(struct channels_client *c, const char *type, struct slice content)
{
    CLEANUP_BUF struct buf header = BUF_INIT(1024), out = BUF_INIT(MAX_REQUEST);
    struct uuid id = uuid_new();
    memcpy(c->msg_id, id.text, sizeof id.text);
    jupyter_write_header(&header, c->msg_id, type, c->session.text, sample_now_us());
    const struct slice parts[] = { buf_slice(&header), SLICE_LITERAL("{}"), SLICE_LITERAL("{}"),
                                   content };
    (void)kernel_ws_write(&out, c->is_v1 ? KERNEL_WS_V1 : KERNEL_WS_DEFAULT, LINK_SHELL, parts, 4);
    c->replied = c->idle = false;
    send_message(c, buf_slice(&out));
}

/* The text of the first "msg_type" in it; in both protocols the header comes first. */
static struct slice type_of(struct slice frame)
{
    static const char NAME[] = "\"msg_type\":";
    size_t n = frame.len < HEAD_BYTES ? frame.len : HEAD_BYTES;
    const char *at = memmem(frame.data, n, NAME, sizeof NAME - 1), *end = frame.data + n;
    if (!at)
        sample_fail("a frame without a type: %.*s", (int)n, frame.data);
    for (at += sizeof NAME - 1; at < end && *at != '"'; at++)
        ;
    const char *close = at < end ? memchr(at + 1, '"', (size_t)(end - at - 1)) : NULL;
    if (!close)
        sample_fail("a frame without a type: %.*s", (int)n, frame.data);
    return slice_of(at + 1, (size_t)(close - at - 1));
}

static bool has(struct slice frame, const char *text)
{
    return memmem(frame.data, frame.len, text, strlen(text)) != NULL;
}

/* True: it was of our request and on iopub. */
static bool look(struct channels_client *c, struct slice frame, const char *reply_type)
{
    struct slice type = type_of(frame);
    if (slice_is(type, "display_data"))
        return true; /* nobody else runs anything meanwhile, and their number is checked */
    bool ours = has(frame, c->msg_id);
    if (ours && slice_is(type, "status") && has(frame, "\"idle\""))
        c->idle = true;
    if (ours && slice_is(type, reply_type)) {
        if (!has(frame, "\"ok\""))
            sample_fail("it did not end well: %.*s", (int)frame.len, frame.data);
        c->replied = true;
        return false;
    }
    if (slice_is(type, "stream"))
        sample_fail("the server says: %.*s", (int)frame.len, frame.data);
    return ours;
}

void channels_client_greet(struct channels_client *c)
{
    ask(c, "kernel_info_request", SLICE_LITERAL("{}"));
    while (!c->replied || !c->idle)
        (void)look(c, next_frame(c), "kernel_info_reply"); /* not counted */
}

void channels_client_execute(struct channels_client *c, struct slice code, struct sample *ret)
{
    CLEANUP_BUF struct buf content = BUF_INIT(MAX_REQUEST);
    int64_t began_us = sample_now_us();
    *ret = (struct sample){ .queued_us = -1, .kernel_us = -1, .total_us = -1 };
    buf_add_str(&content, "{\"code\":");
    json_quote(&content, code);
    buf_add_str(&content, ",\"silent\":false,\"store_history\":true,\"user_expressions\":{},"
                          "\"allow_stdin\":false,\"stop_on_error\":true}");
    ask(c, "execute_request", buf_slice(&content));
    while (!c->replied || !c->idle) {
        struct slice frame = next_frame(c);
        if (ret->first_us == 0)
            ret->first_us = sample_now_us() - began_us;
        ret->bytes += (int64_t)frame.len;
        ret->messages += look(c, frame, "execute_reply");
    }
    ret->us = sample_now_us() - began_us;
}

/* ---- life ---- */

static void shake_hands(struct channels_client *c, const char *path, const char *token)
{
    CLEANUP_BUF struct buf head = BUF_INIT(8192);
    const char *end;
    buf_addf(&head,
             "GET %s?session_id=%s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: token "
             "%s\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
             path, c->session.text, token,
             c->is_v1 ? "Sec-WebSocket-Protocol: " KERNEL_WS_V1_NAME "\r\n" : "");
    send_all(c, buf_slice(&head));
    while (!(end = c->in.len ? memmem(c->in.data, c->in.len, "\r\n\r\n", 4) : NULL))
        read_more(c, 1);
    struct slice answer = slice_of(c->in.data, (size_t)(end - c->in.data));
    if (!has(answer, " 101 ") || has(answer, KERNEL_WS_V1_NAME) != c->is_v1)
        sample_fail("no such WebSocket: %.*s", (int)answer.len, answer.data);
    c->at = answer.len + 4;
}

struct channels_client *channels_client_open(uint16_t port, const char *path, const char *token,
                                             bool is_v1)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct channels_client *c = calloc(1, sizeof *c);
    if (!c)
        sample_fail("no memory");
    c->is_v1 = is_v1;
    c->session = uuid_new();
    take_buffer(c);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0)
        sample_fail("connect to port %u: %s", port, strerror(errno));
    shake_hands(c, path, token);
    return c;
}

void channels_client_close(struct channels_client *c)
{
    if (!c)
        return;
    (void)close(c->fd); /* nothing to do about an error here */
    buf_reset(&c->in);
    buf_done(&spare);
    spare = c->in;
    free(c);
}
