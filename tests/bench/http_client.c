#include "tests/bench/http_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/json.h"

#define READ_BYTES  (256u * 1024)
#define MAX_REQUEST (16u << 20)
#define MAX_ANSWER  (1u << 30)

struct http_client {
    int fd;
    const char *token;
    struct buf in; /* what came and was not yet used */
    struct buf body;
};

struct http_client *http_client_open(uint16_t port, const char *token)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct http_client *c = calloc(1, sizeof *c);
    int yes = 1;
    if (!c)
        sample_fail("no memory");
    c->token = token;
    buf_init(&c->in, MAX_ANSWER);
    buf_init(&c->body, MAX_ANSWER);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) < 0 ||
        connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0)
        sample_fail("connect to port %u: %s", port, strerror(errno));
    return c;
}

void http_client_close(struct http_client *c)
{
    if (!c)
        return;
    (void)close(c->fd); /* nothing to do about an error here */
    buf_done(&c->in);
    buf_done(&c->body);
    free(c);
}

static void send_all(struct http_client *c, struct slice s)
{
    while (s.len) {
        ssize_t n = send(c->fd, s.data, s.len, MSG_NOSIGNAL);
        if (n < 0)
            sample_fail("send: %s", strerror(errno));
        s = slice_of(s.data + n, s.len - (size_t)n);
    }
}

static void read_more(struct http_client *c)
{
    char *room = buf_room(&c->in, READ_BYTES);
    ssize_t n = room ? recv(c->fd, room, READ_BYTES, 0) : -1;
    if (n <= 0)
        sample_fail("the service closed the connection");
    c->in.len += (size_t)n;
    c->in.data[c->in.len] = '\0';
}

/* A line's length without its end; reads until there is one. `at` is where it begins. */
static size_t line_at(struct http_client *c, size_t at)
{
    const char *end;
    while (!(end = memmem(c->in.data + at, c->in.len - at, "\r\n", 2)))
        read_more(c);
    return (size_t)(end - (c->in.data + at));
}

struct head {
    int status;
    size_t length;
    bool chunked;
};

static struct head read_head(struct http_client *c)
{
    struct head h = { 0 };
    size_t at = 0, n;
    while ((n = line_at(c, at)) > 0) {
        const char *line = c->in.data + at;
        if (at == 0 && n > 12)
            h.status = atoi(line + 9);
        if (strncasecmp(line, "Content-Length:", 15) == 0)
            h.length = strtoul(line + 15, NULL, 10);
        if (strncasecmp(line, "Transfer-Encoding:", 18) == 0)
            h.chunked = true;
        at += n + 2;
    }
    buf_drop(&c->in, at + 2);
    return h;
}

static void take(struct http_client *c, size_t n)
{
    while (c->in.len < n)
        read_more(c);
    buf_add(&c->body, c->in.data, n);
    buf_drop(&c->in, n);
}

/* `in` is dropped from once per chunk, so it must stay short: a chunk of libmicrohttpd's is at most
 * a connection's 64 KiB. */
static void take_chunks(struct http_client *c)
{
    size_t n, line;
    do {
        if (c->in.len == 0)
            read_more(c);
        line = line_at(c, 0);
        n = strtoul(c->in.data, NULL, 16);
        buf_drop(&c->in, line + 2);
        take(c, n);
        (void)line_at(c, 0); /* the chunk's own line end */
        buf_drop(&c->in, 2);
    } while (n > 0);
}

#define META     "io.modelcontextprotocol/"
#define REVISION "2026-07-28"

static void write_body(struct slice code, enum http_form form, struct buf *body)
{
    if (form == HTTP_MCP)
        buf_add_str(
            body,
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"_meta\":{\"" META
            "protocolVersion\":\"" REVISION "\",\"" META
            "clientCapabilities\":{}},\"name\":\"execute_code\",\"arguments\":");
    buf_add_str(
        body, "{\"session\":\"python\",\"language\":\"python\",\"timeout_seconds\":120,\"code\":");
    json_quote(body, code);
    buf_add_str(body, form == HTTP_MCP ? "}}}" : "}");
}

static void write_request(const struct http_client *c, struct slice code, enum http_form form,
                          struct buf *out)
{
    static const char *const PATHS[] = {
        [HTTP_JSON] = "/api/v1/execute", [HTTP_EVENTS] = "/api/v1/execute", [HTTP_MCP] = "/mcp"
    };
    static const char *const HEADERS[] = {
        [HTTP_JSON] = "Accept: application/json\r\n",
        [HTTP_EVENTS] = "Accept: text/event-stream\r\n",
        [HTTP_MCP] =
            "Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: " REVISION
            "\r\nMcp-Method: tools/call\r\nMcp-Name: execute_code\r\n",
    };
    CLEANUP_BUF struct buf body = BUF_INIT(MAX_REQUEST);
    write_body(code, form, &body);
    buf_addf(out,
             "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
             "Content-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n",
             PATHS[form], c->token, HEADERS[form], body.len);
    buf_add_slice(out, buf_slice(&body));
}

static int64_t count_events(struct slice body)
{
    int64_t n = 0;
    const char *end = body.data + body.len;
    for (const char *at = body.data; at && (at = memmem(at, (size_t)(end - at), "\ndata: ", 7));
         at += 7)
        n++;
    return n;
}

static void read_timing(struct slice body, struct sample *ret)
{
    struct slice timing;
    if (!json_member(body, "timing", &timing) ||
        !json_member_int(timing, "queued_us", &ret->queued_us) ||
        !json_member_int(timing, "kernel_us", &ret->kernel_us) ||
        !json_member_int(timing, "total_us", &ret->total_us))
        sample_fail("the answer has no timing: %.300s", body.data);
}

/* After the clock has stopped. */
static void check(const struct http_client *c, const struct head *h, enum http_form form,
                  struct sample *ret)
{
    struct slice body = buf_slice(&c->body), status;
    if (h->status != 200)
        sample_fail("HTTP %d: %.500s", h->status, body.data);
    if (form != HTTP_JSON) {
        ret->messages = form == HTTP_EVENTS ? count_events(body) : 0;
        if (!memmem(body.data, body.len, "\"status\":\"ok\"", 13))
            sample_fail("it did not end well: %.500s",
                        body.len > 500 ? body.data + body.len - 500 : body.data);
        return;
    }
    read_timing(body, ret);
    if (!json_member_string(body, "status", &status) || !slice_is(status, "ok"))
        sample_fail("the run did not end well: %.500s", body.data);
}

void http_client_execute(struct http_client *c, struct slice code, enum http_form form,
                         struct sample *ret)
{
    CLEANUP_BUF struct buf request = BUF_INIT(MAX_REQUEST + 4096);
    int64_t began_us = sample_now_us();
    *ret = (struct sample){ .queued_us = -1, .kernel_us = -1, .total_us = -1 };
    buf_reset(&c->in);
    buf_reset(&c->body);
    write_request(c, code, form, &request);
    send_all(c, buf_slice(&request));
    read_more(c);
    ret->first_us = sample_now_us() - began_us;
    struct head h = read_head(c);
    if (h.chunked)
        take_chunks(c);
    else
        take(c, h.length);
    ret->us = sample_now_us() - began_us;
    ret->bytes = (int64_t)c->body.len;
    check(c, &h, form, ret);
}
