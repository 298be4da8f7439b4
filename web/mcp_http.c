/* /mcp. What the head says is checked before the message, the message before anybody acts on it; whatever is refused here is refused with a status of HTTP
 * and a JSON-RPC error, with the id when that could be read. */
#include "web/mcp_http.h"

#include <stdlib.h>

#include "base/json.h"
#include "web/mcp_methods.h"
#include "web/mcp_post.h"
#include "web/reply.h"
#include "web/ws_handshake.h"

static const struct slice NO_ID = { NULL, 0 };

static void refuse(struct request *r, unsigned status, int code, const char *text)
{
    mcp_post_refuse(r, status, NO_ID, code, text);
}

bool mcp_http_is_plain(const struct request *r)
{
    const char *said = query_get(&r->query, "structured");
    return said && strcmp(said, "0") == 0;
}

/* ---- the head ---- */

/* Whether Accept takes that type: names it or all. None given takes all. */
static bool accepts(const struct request *r, const char *type)
{
    const char *at = r->head.accept;
    if (!at)
        return true;
    size_t major = strcspn(type, "/") + 1;
    while (*at) {
        at += strspn(at, " \t,");
        size_t n = strcspn(at, " \t,;");
        if ((n == strlen(type) && strncasecmp(at, type, n) == 0) ||
            (n == 3 && memcmp(at, "*/*", 3) == 0) ||
            (n == major + 1 && strncasecmp(at, type, major) == 0 && at[major] == '*'))
            return true;
        at += strcspn(at, ",");
    }
    return false;
}

static bool check_head(struct request *r)
{
    if (!head_content_is(&r->head, "application/json"))
        refuse(r, 415, MCP_SERVER_ERROR, "Content-Type has to be application/json");
    else if (!accepts(r, "application/json") || !accepts(r, "text/event-stream"))
        refuse(r, 406, MCP_SERVER_ERROR,
               "Accept has to name application/json and text/event-stream");
    else
        return true;
    return false;
}

/* A legacy request's version, when its head says one: false when that is none of ours. */
static bool check_version(struct request *r)
{
    const char *said = r->head.mcp_version;
    enum mcp_version v;
    if (!said || mcp_version_parse(slice_trim(slice_str(said)), &v))
        return true;
    refuse(r, 400, MCP_SERVER_ERROR,
           "MCP-Protocol-Version is none that is spoken here: 2024-11-05, 2025-03-26, 2025-06-18, "
           "2025-11-25, 2026-07-28");
    return false;
}

/* The session named in the head, or NULL and the reply is decided. */
static struct mcp_session *session_of(struct request *r)
{
    struct mcp_session *s = NULL;
    if (!r->head.mcp_session) {
        refuse(r, 400, MCP_SERVER_ERROR, "Mcp-Session-Id is missing: begin with initialize");
        return NULL;
    }
    s = mcp_session_find(r->site->mcp, r->user, r->head.mcp_session);
    if (!s)
        refuse(r, 404, MCP_NO_SESSION,
               "there is no such session (any more): begin with initialize");
    return s;
}

static bool is_modern_head(const struct request *r)
{
    enum mcp_version v;
    return r->head.mcp_version &&
           mcp_version_parse(slice_trim(slice_str(r->head.mcp_version)), &v) &&
           mcp_version_is_modern(v);
}

/* ---- POST, modern ---- */

static bool param_agrees(const struct request *r, struct slice name, struct slice key,
                         struct slice arguments)
{
    char header[128], member[128];
    struct slice value;
    (void)snprintf(header, sizeof header, "Mcp-Param-%.*s", (int)name.len, name.data);
    (void)snprintf(member, sizeof member, "%.*s", (int)key.len, key.data);
    const char *said = MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, header);
    bool is_given = json_member(arguments, member, &value) && json_type(value) != JSON_NULL;
    return is_given ? mcp_message_header_is(said, value) : !said;
}

/* What a tool's schema marks with x-mcp-header stands in the head, too: proxies choose by it. */
static bool params_agree(const struct request *r, const struct mcp_message *m)
{
    char tool_name[128];
    struct slice raw, properties, name, arguments = SLICE_LITERAL("{}");
    if (strcmp(m->method, "tools/call") != 0 || !json_member_string(m->params, "name", &raw) ||
        !json_copy_string(raw, tool_name, sizeof tool_name))
        return true;
    const struct mcp_tool *tool = mcp_find_tool(r->site->mcp, tool_name);
    if (!tool || !json_member(slice_str(tool->input_schema), "properties", &properties))
        return true;
    (void)json_member(m->params, "arguments", &arguments); /* or there are none */
    for (struct json_iter it = json_iter(properties); json_next(&it);)
        if (json_member_string(it.value, "x-mcp-header", &name) &&
            !param_agrees(r, name, it.key, arguments))
            return false;
    return true;
}

static void post_modern(struct request *r, const struct mcp_message *m)
{
    const struct mcp_head head = { .version = r->head.mcp_version,
                                   .method = r->head.mcp_method,
                                   .name = r->head.mcp_name };
    CLEANUP_BUF struct buf out = BUF_INIT(8192);
    if (m->kind == MCP_NOTIFICATION) {
        reply_empty(r, 202); /* a cancellation is to leave */
        return;
    }
    if (m->kind == MCP_RESPONSE) {
        mcp_post_refuse(r, 400, m->id, MCP_INVALID_REQUEST, "nothing was asked");
        return;
    }
    struct mcp_fault f = mcp_message_check(m, &head);
    if (!f.code && !params_agree(r, m))
        f = (struct mcp_fault){ .code = MCP_HEADER_MISMATCH,
                                .text = "a header Mcp-Param-… and the tool's argument differ" };
    if (f.code) {
        mcp_write_fault(&out, m->id, &f);
        reply_buf(r, 400, &out);
        return;
    }
    mcp_post_modern(r, m);
}

/* ---- POST, legacy ---- */

static void begin_session(struct request *r, const struct mcp_message *m)
{
    struct mcp_session *s;
    struct err e = ERR_INIT;
    int code;
    if (r->head.mcp_session) {
        mcp_post_refuse(r, 400, m->id, MCP_INVALID_REQUEST, "a session begins once");
    } else if (mcp_session_new(r->site->mcp, r->user, &s, &e) < 0) {
        mcp_post_refuse(r, 429, m->id, MCP_SERVER_ERROR, e.text);
    } else {
        s->peer->is_plain = mcp_http_is_plain(r);
        mcp_post_legacy(r, s, m, 1, 1, &code);
        if (code == 0)
            reply_header(r, "Mcp-Session-Id", s->id);
        else
            mcp_session_end(s);
    }
}

static void post_legacy(struct request *r, const struct mcp_message *messages, size_t n)
{
    size_t n_requests = 0;
    int code;
    if (n == 1 && messages[0].kind == MCP_REQUEST &&
        strcmp(messages[0].method, "initialize") == 0) {
        begin_session(r, messages);
        return;
    }
    struct mcp_session *s = session_of(r);
    if (!s)
        return;
    for (size_t i = 0; i < n; i++)
        n_requests += messages[i].kind == MCP_REQUEST;
    if (n_requests) {
        mcp_post_legacy(r, s, messages, n, n_requests, &code);
        return;
    }
    for (size_t i = 0; i < n; i++)
        mcp_peer_take(s->peer, NULL, &messages[i]); /* nothing is answered to these */
    reply_empty(r, 202);
}

/* Only sessions of 2025-03-26 have them. */
static void post_batch(struct request *r, struct slice text)
{
    struct mcp_message messages[MCP_MAX_BATCH];
    size_t n = 0;
    const char *why = NULL;
    if (is_modern_head(r)) {
        refuse(r, 400, MCP_INVALID_REQUEST, "one message at a time: batches are gone");
        return;
    }
    struct mcp_session *s = session_of(r);
    if (!s)
        return;
    for (struct json_iter it = json_iter(text); json_next(&it) && !why; n++) {
        if (n == MCP_MAX_BATCH)
            why = "a batch has at most 64 messages";
        else if (mcp_message_read(it.value, &messages[n], &why) == 0 &&
                 strcmp(messages[n].method, "initialize") == 0)
            why = "initialize stands alone";
    }
    if (!mcp_version_has_batches(s->peer->version))
        why = "one message at a time: batches are of 2025-03-26 alone";
    else if (!why && n == 0)
        why = "the batch is empty";
    if (why)
        refuse(r, 400, MCP_INVALID_REQUEST, why);
    else
        post_legacy(r, messages, n);
}

static void post_message(struct request *r, struct slice text)
{
    struct mcp_message m;
    const char *why;
    int code = mcp_message_read(text, &m, &why);
    if (code)
        mcp_post_refuse(r, 400, m.id, code, why);
    else if (mcp_message_is_modern(&m, r->head.mcp_version))
        post_modern(r, &m);
    else if (check_version(r))
        post_legacy(r, &m, 1);
}

static void refuse_broken(struct request *r, struct slice text)
{
    CLEANUP_BUF struct buf room = BUF_INIT(0);
    struct slice id;
    if (mcp_message_broken_id(text, &room, &id))
        mcp_post_refuse(r, 400, id, MCP_INVALID_PARAMS, MCP_BROKEN_TEXT);
    else
        refuse(r, 400, MCP_PARSE_ERROR, "the body is no JSON (or is more than 64 levels deep)");
}

void mcp_http_post(struct request *r)
{
    struct slice text = buf_slice(&r->body);
    if (!check_head(r))
        return;
    switch (mcp_message_shape(text)) {
    case MCP_OBJECT:
        post_message(r, text);
        break;
    case MCP_BATCH:
        post_batch(r, text);
        break;
    case MCP_NO_JSON:
        refuse_broken(r, text);
        break;
    case MCP_NO_MESSAGE:
        refuse(r, 400, MCP_INVALID_REQUEST, "the body has to be an object");
        break;
    }
    buf_done(&r->body); /* calls have their own */
}

/* ---- GET and DELETE ---- */

static void refuse_method(struct request *r)
{
    refuse(r, 405, MCP_SERVER_ERROR, "this version of the protocol has only POST");
    reply_header(r, "Allow", "POST");
}

static void attach(struct request *r, struct mcp_session *s)
{
    unsigned line = 0;
    uint64_t number = 0;
    const char *last = r->head.last_event_id;
    if (last && !mcp_session_parse_event(last, &line, &number))
        refuse(r, 400, MCP_SERVER_ERROR, "Last-Event-ID is none of this session");
    else if (line > 0)
        mcp_post_resume(r, s, line, number);
    else if (s->aside_request)
        refuse(r, 409, MCP_SERVER_ERROR, "this session has its one stream already");
    else
        mcp_session_listen(s, r, last != NULL, number);
}

static bool wants_socket(const struct request *r)
{
    return ws_handshake_names(MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, "Upgrade"),
                              "websocket");
}

void mcp_http_get(struct request *r)
{
    if (wants_socket(r)) {
        mcp_socket(r);
        return;
    }
    if (is_modern_head(r)) {
        refuse_method(r);
        return;
    }
    if (!accepts(r, "text/event-stream")) {
        refuse(r, 406, MCP_SERVER_ERROR, "Accept has to name text/event-stream");
        return;
    }
    struct mcp_session *s = check_version(r) ? session_of(r) : NULL;
    if (s)
        attach(r, s);
}

void mcp_http_delete(struct request *r)
{
    if (is_modern_head(r)) {
        refuse_method(r);
        return;
    }
    struct mcp_session *s = check_version(r) ? session_of(r) : NULL;
    if (!s)
        return;
    mcp_session_end(s);
    reply_empty(r, 200);
}
