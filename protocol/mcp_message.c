#include "protocol/mcp_message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/json.h"

#define MAX_MEMBERS      64 /* of a message, of its params, of its _meta */
#define MAX_KEY_BYTES    256
#define KEEP_MS          3600000
#define MAX_HEADER_BYTES 8192

static const struct slice NOTHING = { "{}", 2 };

enum mcp_shape mcp_message_shape(struct slice text)
{
    if (!json_valid(text))
        return MCP_NO_JSON;
    switch (json_type(text)) {
    case JSON_OBJECT:
        return MCP_OBJECT;
    case JSON_ARRAY:
        return MCP_BATCH;
    case JSON_NONE:
    case JSON_STRING:
    case JSON_NUMBER:
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        break;
    }
    return MCP_NO_MESSAGE;
}

/* ---- reading ---- */

static bool same_key(struct slice a, struct slice b)
{
    char left[MAX_KEY_BYTES], right[MAX_KEY_BYTES];
    if (slice_equal(a, b))
        return true;
    if (!memchr(a.data, '\\', a.len) && !memchr(b.data, '\\', b.len))
        return false;
    return json_copy_string(a, left, sizeof left) && json_copy_string(b, right, sizeof right) &&
           strcmp(left, right) == 0;
}

static const char *check_members(struct slice object)
{
    struct slice keys[MAX_MEMBERS];
    size_t n = 0;
    for (struct json_iter it = json_iter(object); json_next(&it);) {
        if (n == MAX_MEMBERS)
            return "an object of the message has more than 64 members";
        if (it.key.len >= MAX_KEY_BYTES)
            return "a member's name is too long";
        for (size_t i = 0; i < n; i++)
            if (same_key(keys[i], it.key))
                return "a member is there twice";
        keys[n++] = it.key;
    }
    return NULL;
}

static bool is_id(struct slice value)
{
    enum json_type type = json_type(value);
    return (type == JSON_STRING || type == JSON_NUMBER) && value.len <= MCP_ID_BYTES;
}

static const char *read_method(struct slice value, struct mcp_message *m)
{
    if (json_type(value) != JSON_STRING)
        return "method has to be a string";
    struct slice raw = slice_of(value.data + 1, value.len - 2);
    if (!json_copy_string(raw, m->method, sizeof m->method))
        (void)snprintf(m->method, sizeof m->method, "%.*s", 40, raw.data); /* one we do not have */
    m->kind = m->id.len ? MCP_REQUEST : MCP_NOTIFICATION;
    return NULL;
}

static const char *read_response(const struct slice *at, struct mcp_message *m)
{
    m->kind = MCP_RESPONSE;
    m->result = at[0];
    m->error = at[1];
    if (!at[0].len == !at[1].len)
        return "a message has a method, a result or an error: one of them";
    return m->id.len ? NULL : "a response needs an id";
}

static const char *read_envelope(struct slice object, struct mcp_message *m, struct slice *params)
{
    static const char *const NAMES[] = { "jsonrpc", "id", "method", "params", "result", "error" };
    struct slice at[ARRAY_LEN(NAMES)];
    json_members(object, NAMES, ARRAY_LEN(NAMES), at);
    if (is_id(at[1]))
        m->id = at[1];
    const char *why = check_members(object);
    if (why)
        return why;
    if (!slice_is(at[0], "\"2.0\""))
        return "jsonrpc has to be \"2.0\"";
    if (at[1].len && !m->id.len)
        return "id has to be a string or a number of at most 256 bytes";
    *params = at[3];
    if (!at[2].len)
        return read_response(at + 4, m);
    return at[4].len || at[5].len ? "a message with a method has no result" : read_method(at[2], m);
}

static const char *read_params(struct slice params, struct mcp_message *m)
{
    struct slice meta;
    if (json_type(params) != JSON_OBJECT)
        return "params has to be an object";
    m->params = params;
    const char *why = check_members(params);
    if (why || !json_member(params, "_meta", &meta))
        return why;
    if (json_type(meta) != JSON_OBJECT)
        return "params._meta has to be an object";
    m->meta = meta;
    return check_members(meta);
}

int mcp_message_read(struct slice object, struct mcp_message *ret, const char **ret_why)
{
    struct slice params = slice_of(NULL, 0);
    *ret = (struct mcp_message){ .kind = MCP_NOTIFICATION, .params = NOTHING, .meta = NOTHING };
    *ret_why = json_type(object) == JSON_OBJECT ? read_envelope(object, ret, &params)
                                                : "a message has to be an object";
    if (*ret_why)
        return MCP_INVALID_REQUEST;
    if (params.len)
        *ret_why = read_params(params, ret);
    return *ret_why ? MCP_INVALID_PARAMS : 0;
}

bool mcp_message_broken_id(struct slice text, struct buf *room, struct slice *ret)
{
    struct mcp_message m;
    const char *why;
    buf_init(room, 3 * text.len); /* what is mended is seldom longer */
    json_mend(room, text);
    if (room->failed || mcp_message_shape(buf_slice(room)) != MCP_OBJECT ||
        mcp_message_read(buf_slice(room), &m, &why) != 0 || m.kind != MCP_REQUEST ||
        !memmem(text.data, text.len, m.id.data, m.id.len)) /* the id itself was broken */
        return false;
    *ret = m.id;
    return true;
}

bool mcp_message_meta(const struct mcp_message *m, const char *name, struct slice *ret)
{
    char key[96];
    (void)snprintf(key, sizeof key, MCP_META_PREFIX "%s", name); /* names are our own */
    return json_member(m->meta, key, ret);
}

struct slice mcp_message_progress_token(const struct mcp_message *m)
{
    struct slice token;
    return json_member(m->meta, "progressToken", &token) && is_id(token) ? token
                                                                         : slice_of(NULL, 0);
}

bool mcp_message_has_envelope(const struct mcp_message *m)
{
    struct slice version;
    return mcp_message_meta(m, "protocolVersion", &version);
}

/* ---- over HTTP ---- */

bool mcp_message_is_modern(const struct mcp_message *m, const char *version_header)
{
    enum mcp_version v;
    if (!version_header)
        return mcp_message_has_envelope(m);
    if (mcp_version_parse(slice_trim(slice_str(version_header)), &v))
        return mcp_version_is_modern(v) || mcp_message_has_envelope(m);
    /* A version that nobody knows is a modern client's when its message has the envelope; else it is one that could have begun
     * with `initialize`. */
    return mcp_message_has_envelope(m);
}

static bool is_base64(struct slice s)
{
    static const char ALPHABET[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    for (size_t i = 0; i < s.len; i++)
        if (!memchr(ALPHABET, s.data[i], sizeof ALPHABET - 1))
            return false;
    return s.len % 4 == 0;
}

bool mcp_message_header(struct slice value, struct buf *ret)
{
    static const struct slice BEGIN = { "=?base64?", 9 }, END = { "?=", 2 };
    struct slice s = slice_trim(value);
    if (s.len < BEGIN.len + END.len || memcmp(s.data, BEGIN.data, BEGIN.len) != 0 ||
        memcmp(s.data + s.len - END.len, END.data, END.len) != 0) {
        buf_add_slice(ret, s);
        return !ret->failed;
    }
    struct slice inner = slice_of(s.data + BEGIN.len, s.len - BEGIN.len - END.len);
    return is_base64(inner) && base64_decode(ret, inner);
}

bool mcp_message_header_is(const char *header, struct slice value)
{
    CLEANUP_BUF struct buf said = BUF_INIT(MAX_HEADER_BYTES);
    CLEANUP_BUF struct buf meant = BUF_INIT(MAX_HEADER_BYTES);
    if (!header || !mcp_message_header(slice_str(header), &said))
        return false;
    if (json_type(value) == JSON_STRING)
        json_unescape(&meant, slice_of(value.data + 1, value.len - 2));
    else
        buf_add_slice(&meant, value);
    return !meant.failed && slice_equal(buf_slice(&said), buf_slice(&meant));
}

/* Which member of params the header Mcp-Name repeats; NULL: none. */
static const char *named_by(const char *method)
{
    static const struct {
        const char *method, *member;
    } NAMED[] = {
        { "tools/call", "name" },  { "prompts/get", "name" },    { "resources/read", "uri" },
        { "tasks/get", "taskId" }, { "tasks/update", "taskId" }, { "tasks/cancel", "taskId" },
    };
    for (size_t i = 0; i < ARRAY_LEN(NAMED); i++)
        if (strcmp(NAMED[i].method, method) == 0)
            return NAMED[i].member;
    return NULL;
}

static const char *compare_names(const struct mcp_message *m, const struct mcp_head *head)
{
    struct slice value;
    const char *member = named_by(m->method);
    if (!head->method)
        return "the header Mcp-Method is missing";
    if (!slice_is(slice_trim(slice_str(head->method)), m->method))
        return "the header Mcp-Method and the message's method differ";
    if (!member || !json_member(m->params, member, &value))
        return NULL; /* what is missing in params, the method says itself */
    if (!head->name)
        return "the header Mcp-Name is missing";
    return mcp_message_header_is(head->name, value) ? NULL
                                                    : "the header Mcp-Name and the message differ";
}

static struct mcp_fault fault(int code, const char *text)
{
    return (struct mcp_fault){ .code = code, .text = text };
}

struct mcp_fault mcp_message_check(const struct mcp_message *m, const struct mcp_head *head)
{
    struct slice version, capabilities;
    enum mcp_version v;
    if (!mcp_message_meta(m, "protocolVersion", &version) || json_type(version) != JSON_STRING)
        return fault(MCP_INVALID_PARAMS,
                     "params._meta needs " MCP_META_PREFIX "protocolVersion, a string");
    if (!mcp_message_meta(m, "clientCapabilities", &capabilities) ||
        json_type(capabilities) != JSON_OBJECT)
        return fault(MCP_INVALID_PARAMS,
                     "params._meta needs " MCP_META_PREFIX "clientCapabilities, an object");
    if (head && !head->version)
        return fault(MCP_HEADER_MISMATCH, "the header MCP-Protocol-Version is missing");
    if (head && !mcp_message_header_is(head->version, version))
        return fault(MCP_HEADER_MISMATCH,
                     "the header MCP-Protocol-Version and the message's version differ");
    struct slice raw = slice_of(version.data + 1, version.len - 2);
    if (!mcp_version_parse(raw, &v) || !mcp_version_is_modern(v)) {
        struct mcp_fault f =
            fault(MCP_UNSUPPORTED_VERSION, "this protocol version is not spoken here");
        if (!json_copy_string(raw, f.requested, sizeof f.requested))
            f.requested[0] = '\0';
        return f;
    }
    const char *why = head ? compare_names(m, head) : NULL;
    return why ? fault(MCP_HEADER_MISMATCH, why) : fault(0, NULL);
}

/* ---- what we say ---- */

static void write_modern(struct buf *out, const struct mcp_server *server, const char *type,
                         enum mcp_keep keep)
{
    buf_addf(out,
             "\"resultType\":\"%s\",\"_meta\":{\"" MCP_META_PREFIX "serverInfo\":{\"name\":", type);
    json_quote_str(out, server->name);
    buf_add_str(out, ",\"title\":");
    json_quote_str(out, server->title);
    buf_add_str(out, ",\"version\":");
    json_quote_str(out, server->version);
    buf_add_str(out, "}}");
    if (keep != MCP_KEEP_UNSAID)
        buf_addf(out, ",\"ttlMs\":%d,\"cacheScope\":\"%s\"", keep == MCP_KEEP_PUBLIC ? KEEP_MS : 0,
                 keep == MCP_KEEP_PUBLIC ? "public" : "private");
}

static void begin(struct buf *out)
{
    buf_add_str(out, "{\"jsonrpc\":\"2.0\"");
}

static void write_id(struct buf *out, struct slice id)
{
    if (!id.len)
        return;
    buf_add_str(out, ",\"id\":");
    buf_add_slice(out, id);
}

/* An object without its braces. */
static struct slice members_of(struct slice object)
{
    struct json_iter it = json_iter(object);
    if (!json_next(&it))
        return slice_of(NULL, 0);
    const char *first = it.key.data - 1;
    size_t n = object.len - (size_t)(first - object.data);
    while (n && first[n - 1] != '}')
        n--;
    return slice_of(first, n - 1);
}

void mcp_write_result(struct buf *out, enum mcp_version v, const struct mcp_server *server,
                      struct slice id, const char *type, enum mcp_keep keep, struct slice object)
{
    struct slice members = members_of(object);
    begin(out);
    write_id(out, id);
    buf_add_str(out, ",\"result\":{");
    if (mcp_version_is_modern(v)) {
        write_modern(out, server, type, keep);
        if (members.len)
            buf_add_char(out, ',');
    }
    buf_add_slice(out, members);
    buf_add_str(out, "}}");
}

void mcp_write_error(struct buf *out, struct slice id, int code, const char *text,
                     struct slice data)
{
    begin(out);
    write_id(out, id);
    buf_addf(out, ",\"error\":{\"code\":%d,\"message\":", code);
    json_quote_str(out, text);
    if (data.len) {
        buf_add_str(out, ",\"data\":");
        buf_add_slice(out, data);
    }
    buf_add_str(out, "}}");
}

void mcp_write_versions(struct buf *out)
{
    const char *before = "[\"";
    for (int v = 0; v < MCP_N_VERSIONS; v++) {
        if (!mcp_version_is_modern((enum mcp_version)v))
            continue;
        buf_addf(out, "%s%s\"", before, mcp_version_name((enum mcp_version)v));
        before = ",\"";
    }
    buf_add_char(out, ']');
}

void mcp_write_fault(struct buf *out, struct slice id, const struct mcp_fault *f)
{
    CLEANUP_BUF struct buf data = BUF_INIT(1024);
    if (f->code == MCP_UNSUPPORTED_VERSION) {
        buf_add_str(&data, "{\"supported\":");
        mcp_write_versions(&data);
        buf_add_str(&data, ",\"requested\":");
        json_quote_str(&data, f->requested);
        buf_add_char(&data, '}');
    }
    mcp_write_error(out, id, f->code, f->text, buf_slice(&data));
}

void mcp_write_notification(struct buf *out, const char *method, struct slice params)
{
    begin(out);
    buf_addf(out, ",\"method\":\"%s\",\"params\":", method);
    buf_add_slice(out, params);
    buf_add_char(out, '}');
}

void mcp_write_request(struct buf *out, const char *id, const char *method, struct slice params)
{
    begin(out);
    buf_addf(out, ",\"id\":\"%s\",\"method\":\"%s\",\"params\":", id, method);
    buf_add_slice(out, params);
    buf_add_char(out, '}');
}
