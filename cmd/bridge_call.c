#include "cmd/bridge_internal.h"

#include <stdlib.h>

#include "base/json.h"
#include "cmd/client_curl.h"

#define MAX_REPLY SSE_READER_MAX_BYTES
#define SILENT_SECONDS                                                                             \
    60L /* a request that takes long becomes a stream, which says something every 15 s */
#define MAX_PENDING                                                                                \
    (8u << 20) /* to a client that reads slowly: then nothing is read from the service */

/* What may be sent twice: it changes nothing, or the second time nothing more. A tool that is called is not among them. */
static const char *const REPEATABLE[] = {
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "resources/subscribe",
    "completion/complete",
    "resources/unsubscribe",
    "logging/setLevel",
    "notifications/initialized",
    "notifications/cancelled",
};

static bool is_get(const struct bridge_call *c)
{
    return c->purpose == BRIDGE_LISTEN || c->is_resumed;
}

bool bridge_call_is_repeatable(const struct bridge_call *c)
{
    if (is_get(c) || c->purpose == BRIDGE_GOODBYE)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(REPEATABLE); i++)
        if (bridge_message_is(&c->message, REPEATABLE[i]))
            return true;
    return false;
}

/* ---- the list ---- */

static void on_event(void *arg, uint64_t id, struct slice data);

struct bridge_call *bridge_call_add(struct bridge *b, enum bridge_purpose purpose,
                                    struct slice body, bool first)
{
    struct bridge_call *c = calloc(1, sizeof *c), **at = &b->calls;

    if (!c)
        abort();
    c->bridge = b;
    c->purpose = purpose;
    buf_init(&c->body, BRIDGE_MAX_LINE);
    buf_add_slice(&c->body, body);
    (void)bridge_message_read(buf_slice(&c->body),
                              &c->message); /* it was checked; none: of no kind */
    c->retry_ms = -1;
    buf_init(&c->reply, MAX_REPLY);
    sse_reader_init(&c->events, on_event, c);
    while (*at && !(first && !(*at)->curl))
        at = &(*at)->next;
    c->next = *at;
    *at = c;
    b->n_calls++;
    b->n_bytes += body.len;
    return c;
}

/* What its stream said of how it goes on is good after it, too. */
void bridge_call_note_stream(struct bridge_call *c)
{
    if (!c->is_stream)
        return;
    if (c->events.id_text[0] && !c->is_modern)
        (void)snprintf(c->last_event, sizeof c->last_event, "%s", c->events.id_text);
    c->retry_ms = c->events.retry_ms >= 0 ? c->events.retry_ms : c->retry_ms;
}

void bridge_call_stop(struct bridge_call *c)
{
    if (c->curl) {
        bridge_call_note_stream(c);
        (void)curl_multi_remove_handle(c->bridge->multi, c->curl);
        curl_easy_cleanup(c->curl);
    }
    c->curl = NULL;
    curl_slist_free_all(c->headers);
    c->headers = NULL;
    buf_done(&c->reply);
    sse_reader_reset(&c->events);
    c->is_stream = c->is_paused = false;
}

void bridge_call_free(struct bridge_call *c)
{
    struct bridge *b = c->bridge;
    struct bridge_call **at = &b->calls;

    bridge_call_stop(c);
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    b->n_calls--;
    b->n_bytes -= c->body.len;
    sse_reader_done(&c->events);
    buf_done(&c->body);
    free(c);
}

struct bridge_call *bridge_call_find(struct bridge *b, struct slice id)
{
    for (struct bridge_call *c = b->calls; c; c = c->next)
        if (c->purpose == BRIDGE_FOR_CLIENT && c->message.kind == BRIDGE_REQUEST &&
            slice_equal(c->message.id, id))
            return c;
    return NULL;
}

/* ---- its reply ---- */

static void hear(struct bridge_call *c, struct slice text)
{
    bool is_answer =
        c->message.kind == BRIDGE_REQUEST && bridge_message_answers(text, c->message.id);

    c->tries = 0;
    c->is_answered = c->is_answered || is_answer;
    if (is_answer)
        bridge_on_answer(c, text);
    if (c->purpose != BRIDGE_AGAIN && !(is_answer && c->is_cancelled))
        bridge_say(c->bridge, text);
}

/* A stream may begin with an event of no data, which only has an id. */
static void on_event(void *arg, uint64_t id, struct slice data)
{
    struct err e = ERR_INIT;

    (void)id;
    if (data.len == 0)
        return;
    if (json_valid(data)) {
        hear(arg, data);
        return;
    }
    (void)err_set(&e, ERR_INTERNAL, "an event that is no JSON was passed over");
    bridge_log(arg, &e);
}

void bridge_call_hear_reply(struct bridge_call *c)
{
    hear(c, buf_slice(&c->reply));
}

static void look_at_headers(struct bridge_call *c, long status)
{
    const char *type = NULL;

    (void)curl_easy_getinfo(c->curl, CURLINFO_CONTENT_TYPE, &type);
    c->is_stream = status == 200 && type && strncasecmp(type, "text/event-stream", 17) == 0;
    if (status >= 200 && status < 300)
        bridge_on_headers(c);
}

static size_t on_bytes(char *data, size_t size, size_t n, void *arg)
{
    struct bridge_call *c = arg;
    struct slice bytes = slice_of(data, size * n);
    long status = 0;

    if (bridge_output_pending(&c->bridge->out) > MAX_PENDING) {
        c->is_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    (void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    if (!c->is_stream && c->reply.len == 0)
        look_at_headers(c, status);
    if (c->is_stream)
        return sse_reader_feed(&c->events, bytes) ? bytes.len : 0;
    buf_add_slice(&c->reply, bytes);
    return c->reply.failed ? 0 : bytes.len;
}

void bridge_call_go_on(struct bridge_call *c)
{
    if (!c->is_paused || bridge_output_pending(&c->bridge->out) > MAX_PENDING / 2)
        return;
    c->is_paused = false;
    (void)curl_easy_pause(c->curl, CURLPAUSE_CONT);
}

/* ---- its request ---- */

static void add_header(struct bridge_call *c, const char *name, struct slice raw)
{
    CLEANUP_BUF struct buf line = BUF_INIT(128u << 10);

    bridge_message_header(&line, name, raw);
    c->headers = curl_slist_append(c->headers, line.data);
}

static void add_headers(struct bridge_call *c)
{
    const struct bridge_message *m = &c->message;
    struct bridge *b = c->bridge;
    struct slice version = m->version.len && c->is_modern ? m->version : slice_str(b->version);

    c->headers =
        curl_slist_append(c->headers, is_get(c) ? "Accept: text/event-stream"
                                                : "Accept: application/json, text/event-stream");
    c->headers = curl_slist_append(c->headers, "Content-Type: application/json");
    c->headers = curl_slist_append(c->headers, "Expect:"); /* no round trip before a large body */
    if (version.len && !bridge_message_is(m, "initialize"))
        add_header(c, "MCP-Protocol-Version", version);
    if (c->is_modern && m->method.len)
        add_header(c, "Mcp-Method", m->method);
    if (c->is_modern && m->name.data)
        add_header(c, "Mcp-Name", m->name);
    if (c->purpose != BRIDGE_GOODBYE && !c->is_resumed) /* that is of the session it began in */
        (void)snprintf(c->session, sizeof c->session, "%s",
                       c->is_modern || bridge_message_is(m, "initialize") ? "" : b->session);
    if (c->session[0])
        add_header(c, "Mcp-Session-Id", slice_str(c->session));
    if (is_get(c) && c->last_event[0])
        add_header(c, "Last-Event-ID", slice_str(c->last_event));
}

/* On a connection that was used before, curl itself sends again what got no reply: what may not be sent twice has one of its own. */
static void set_request(struct bridge_call *c)
{
    CURL *curl = c->curl;

    if (is_get(c)) {
        curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    } else if (c->purpose == BRIDGE_GOODBYE) {
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, "DELETE");
    } else {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, c->body.data);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body.len);
    }
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, c->headers);
    curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, bridge_call_is_repeatable(c) ? 0L : 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, c);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, c->error);
}

int bridge_call_start(struct bridge_call *c, struct err *e)
{
    c->error[0] = '\0';
    c->curl = curl_easy_init();
    if (!c->curl || client_aim(c->bridge->settings->client, c->curl, "/mcp", SILENT_SECONDS,
                               &c->headers, e) < 0)
        return c->curl ? -1 : err_set(e, ERR_INTERNAL, "libcurl does not start");
    add_headers(c);
    set_request(c);
    return curl_multi_add_handle(c->bridge->multi, c->curl) == CURLM_OK
               ? 0
               : err_set(e, ERR_INTERNAL, "libcurl takes no more requests");
}

bool bridge_call_is_sent(const struct bridge_call *c)
{
    curl_off_t n = 0;

    return c->curl && curl_easy_getinfo(c->curl, CURLINFO_SIZE_UPLOAD_T, &n) == CURLE_OK &&
           (size_t)n >= c->body.len;
}
