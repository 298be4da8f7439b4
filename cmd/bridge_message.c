#include "cmd/bridge_message.h"

#include "base/base64.h"
#include "base/json.h"

#define MAX_HEADER (64u << 10) /* more than any service reads */

/* Which parameter Mcp-Name repeats. A method whose name ends with a slash stands for all that begin so. */
static const struct {
    const char *method, *parameter;
} NAMED[] = {
    { "tools/call", "name" },
    { "prompts/get", "name" },
    { "resources/read", "uri" },
    { "tasks/", "taskId" },
};

static bool begins(struct slice s, const char *with)
{
    return s.len >= strlen(with) && memcmp(s.data, with, strlen(with)) == 0;
}

static void find_name(struct bridge_message *m)
{
    for (size_t i = 0; i < ARRAY_LEN(NAMED); i++) {
        const char *method = NAMED[i].method;
        bool all = method[strlen(method) - 1] == '/';
        if (all ? begins(m->method, method) : slice_is(m->method, method))
            (void)json_member_string(m->params, NAMED[i].parameter, &m->name); /* absent: empty */
    }
}

/* Some writers escape each slash. */
static void find_version(struct bridge_message *m)
{
    static const char *const KEYS[] = { "io.modelcontextprotocol/protocolVersion",
                                        "io.modelcontextprotocol\\/protocolVersion" };
    struct slice meta;

    if (!json_member(m->params, "_meta", &meta))
        return;
    for (size_t i = 0; i < ARRAY_LEN(KEYS) && m->version.len == 0; i++)
        (void)json_member_string(meta, KEYS[i], &m->version);
}

bool bridge_message_read(struct slice text, struct bridge_message *ret)
{
    static const char *const NAMES[] = { "id", "method", "params" };
    struct slice found[ARRAY_LEN(NAMES)];

    *ret = (struct bridge_message){ .kind = BRIDGE_OTHER, .text = text };
    if (!json_valid(text))
        return false;
    if (json_type(text) != JSON_OBJECT)
        return true;
    json_members(text, NAMES, ARRAY_LEN(NAMES), found);
    enum json_type id = json_type(found[0]);
    bool is_answerable = id == JSON_STRING || id == JSON_NUMBER;
    if (is_answerable)
        ret->id = found[0];
    if (json_type(found[1]) != JSON_STRING)
        return true;
    ret->method = slice_of(found[1].data + 1, found[1].len - 2);
    ret->params = found[2];
    if (is_answerable)
        ret->kind = BRIDGE_REQUEST;
    else if (found[0].len == 0)
        ret->kind = BRIDGE_NOTIFICATION;
    find_name(ret);
    find_version(ret);
    return true;
}

bool bridge_message_is(const struct bridge_message *m, const char *method)
{
    return slice_is(m->method, method);
}

bool bridge_message_answers(struct slice text, struct slice id)
{
    static const char *const NAMES[] = { "id", "method" };
    struct slice found[ARRAY_LEN(NAMES)];

    if (json_type(text) != JSON_OBJECT)
        return false;
    json_members(text, NAMES, ARRAY_LEN(NAMES), found);
    return found[1].len == 0 && slice_equal(found[0], id);
}

static bool fits_a_header(struct slice value)
{
    if (value.len == 0 || value.data[0] == ' ' || value.data[value.len - 1] == ' ' ||
        begins(value, "=?base64?"))
        return false;
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] < 0x20 || value.data[i] > 0x7e)
            return false;
    return true;
}

void bridge_message_header(struct buf *out, const char *name, struct slice raw)
{
    CLEANUP_BUF struct buf value = BUF_INIT(MAX_HEADER);

    json_unescape(&value, raw);
    bool fits = fits_a_header(buf_slice(&value));
    buf_addf(out, "%s: %s", name, fits ? "" : "=?base64?");
    if (fits)
        buf_add_slice(out, buf_slice(&value));
    else
        base64_encode(out, buf_slice(&value));
    buf_add_str(out, fits ? "" : "?=");
}

static int number_of(enum err_code code)
{
    return code == ERR_INVALID ? -32600 : code == ERR_INTERNAL ? -32603 : 1000 + err_http(code);
}

static void begin_error(struct buf *out, struct slice id)
{
    buf_add_str(out, "{\"jsonrpc\":\"2.0\",");
    if (id.len) {
        buf_add_str(out, "\"id\":");
        buf_add_slice(out, id);
        buf_add_char(out, ',');
    }
    buf_add_str(out, "\"error\":");
}

void bridge_message_error(struct buf *out, struct slice id, const struct err *e)
{
    begin_error(out, id);
    buf_addf(out, "{\"code\":%d,\"message\":", number_of(e->code));
    json_quote_str(out, e->text);
    buf_addf(out, ",\"data\":{\"code\":\"%s\"}}}", err_name(e->code));
}

void bridge_message_no_json(struct buf *out, const char *why)
{
    begin_error(out, slice_of(NULL, 0));
    buf_add_str(out, "{\"code\":-32700,\"message\":");
    json_quote_str(out, why);
    buf_add_str(out, "}}");
}

bool bridge_message_adopt(struct buf *out, struct slice id, struct slice reply)
{
    struct slice error;
    int64_t code;

    if (!json_valid(reply) || !json_member(reply, "error", &error) ||
        !json_member_int(error, "code", &code))
        return false;
    begin_error(out, id);
    (void)json_splice(out, error); /* it was checked */
    buf_add_char(out, '}');
    return true;
}
