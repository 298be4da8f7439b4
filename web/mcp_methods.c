#include "web/mcp_methods.h"

#include <stdlib.h>

#include "base/json.h"
#include "web/mcp_task.h"

#define MAX_NAME_BYTES  256
#define MAX_URI_BYTES   8192
#define MAX_VALUE_BYTES 65536

static const char CAPABILITIES[] =
    "{\"tools\":{},\"resources\":{\"subscribe\":true,\"listChanged\":true},\"prompts\":{},"
    "\"completions\":{},\"logging\":{}}";

static void answer_empty(struct mcp_call *c)
{
    CLEANUP_BUF struct buf out = BUF_INIT(8);
    buf_add_str(&out, "{}");
    mcp_call_result(c, &out);
}

static void refuse(struct mcp_call *c, const char *text)
{
    mcp_call_error(c, MCP_INVALID_PARAMS, text, slice_of(NULL, 0));
}

/* ---- beginnings ---- */

static void initialize(struct mcp_call *c)
{
    struct mcp_peer *p = mcp_task_of(c)->peer;
    struct slice version, capabilities;
    CLEANUP_BUF struct buf out = BUF_INIT(65536);
    if (!json_member_string(c->params, "protocolVersion", &version)) {
        refuse(c, "params.protocolVersion has to be a string");
        return;
    }
    if (!mcp_version_parse(version, &p->version) || mcp_version_is_modern(p->version))
        p->version = MCP_LATEST_LEGACY;
    c->version = p->version;
    buf_reset(&p->capabilities);
    if (json_member(c->params, "capabilities", &capabilities) &&
        json_type(capabilities) == JSON_OBJECT)
        buf_add_slice(&p->capabilities, capabilities);
    buf_addf(&out, "{\"protocolVersion\":\"%s\",\"capabilities\":%s,\"serverInfo\":{\"name\":",
             mcp_version_name(p->version), CAPABILITIES);
    json_quote_str(&out, MCP_SERVER.name);
    if (mcp_version_has_structured(p->version)) {
        buf_add_str(&out, ",\"title\":");
        json_quote_str(&out, MCP_SERVER.title);
    }
    buf_add_str(&out, ",\"version\":");
    json_quote_str(&out, MCP_SERVER.version);
    buf_add_str(&out, "},\"instructions\":");
    json_quote_str(&out, MCP_INSTRUCTIONS);
    buf_add_char(&out, '}');
    mcp_call_result(c, &out);
}

static void discover(struct mcp_call *c)
{
    CLEANUP_BUF struct buf out = BUF_INIT(65536);
    buf_add_str(&out, "{\"supportedVersions\":");
    mcp_write_versions(&out);
    buf_addf(&out, ",\"capabilities\":%s,\"instructions\":", CAPABILITIES);
    json_quote_str(&out, MCP_INSTRUCTIONS);
    buf_add_char(&out, '}');
    mcp_call_result(c, &out);
}

static void set_level(struct mcp_call *c)
{
    struct slice level;
    int n = json_member_string(c->params, "level", &level) ? mcp_peer_log_level(level) : -1;
    if (n < 0) {
        refuse(c, "params.level is one of debug, info, notice, warning, error, critical, alert, "
                  "emergency");
        return;
    }
    mcp_task_of(c)->peer->log_level = n;
    answer_empty(c);
}

/* ---- what is named in params ---- */

/* params' text member; false: the call is answered. */
static bool text_of(struct mcp_call *c, const char *member, char *ret, size_t size)
{
    CLEANUP_BUF struct buf why = BUF_INIT(256);
    struct slice raw;
    if (json_member_string(c->params, member, &raw) && json_copy_string(raw, ret, size))
        return true;
    buf_addf(&why, "params.%s has to be a string of less than %zu bytes", member, size);
    refuse(c, why.data);
    return false;
}

/* params.arguments; false: the call is answered. */
static bool arguments_of(struct mcp_call *c, struct slice *ret)
{
    *ret = SLICE_LITERAL("{}");
    struct slice value;
    if (!json_member(c->params, "arguments", &value) || json_type(value) == JSON_NULL)
        return true;
    *ret = value;
    if (json_type(value) == JSON_OBJECT)
        return true;
    refuse(c, "params.arguments has to be an object");
    return false;
}

static void call_tool(struct mcp_call *c)
{
    char name[MAX_NAME_BYTES];
    struct slice arguments;
    if (!text_of(c, "name", name, sizeof name) || !arguments_of(c, &arguments))
        return;
    const struct mcp_tool *tool = mcp_find_tool(c->site->mcp, name);
    if (!tool) {
        refuse(c, "there is no such tool; tools/list names them");
        return;
    }
    mcp_task_of(c)->is_stored = tool->flags & MCP_TOOL_STORED;
    tool->call(c, arguments);
}

/* The arguments that a prompt wants are there, all are strings; false: the call is answered. */
static bool check_arguments(struct mcp_call *c, const struct mcp_prompt *prompt,
                            struct slice arguments)
{
    CLEANUP_BUF struct buf why = BUF_INIT(512);
    struct slice value;
    for (struct json_iter it = json_iter(arguments); json_next(&it);) {
        if (json_type(it.value) == JSON_STRING)
            continue;
        refuse(c, "a prompt's arguments have to be strings");
        return false;
    }
    for (size_t i = 0; i < prompt->n_arguments; i++) {
        const struct mcp_argument *a = &prompt->arguments[i];
        if (!a->required || json_member_string(arguments, a->name, &value))
            continue;
        buf_addf(&why, "the prompt needs the argument '%s'", a->name);
        refuse(c, why.data);
        return false;
    }
    return true;
}

static void get_prompt(struct mcp_call *c)
{
    char name[MAX_NAME_BYTES];
    struct slice arguments;
    if (!text_of(c, "name", name, sizeof name) || !arguments_of(c, &arguments))
        return;
    const struct mcp_prompt *prompt = mcp_find_prompt(c->site->mcp, name);
    if (!prompt)
        refuse(c, "there is no such prompt; prompts/list names them");
    else if (check_arguments(c, prompt, arguments))
        prompt->get(c, arguments);
}

static void read_resource(struct mcp_call *c)
{
    char uri[MAX_URI_BYTES];
    const struct mcp *m = c->site->mcp;
    if (!text_of(c, "uri", uri, sizeof uri))
        return;
    for (size_t i = 0; i < m->n_parts; i++)
        if (m->parts[i]->read && m->parts[i]->read(c, uri))
            return;
    mcp_call_no_resource(c, slice_str(uri));
}

/* ---- completion ---- */

struct completing {
    char ref[MAX_URI_BYTES], argument[MAX_NAME_BYTES], value[MAX_VALUE_BYTES];
};

static bool copy_member(struct slice object, const char *name, char *ret, size_t size)
{
    struct slice raw;
    return json_member_string(object, name, &raw) && json_copy_string(raw, ret, size);
}

static bool read_completion(const struct mcp_call *c, struct completing *at,
                            struct mcp_completion *ret)
{
    struct slice ref, argument, context, type;
    if (!json_member(c->params, "ref", &ref) || !json_member(c->params, "argument", &argument) ||
        !json_member_string(ref, "type", &type) ||
        !copy_member(argument, "name", at->argument, sizeof at->argument) ||
        !copy_member(argument, "value", at->value, sizeof at->value))
        return false;
    bool is_prompt = slice_is(type, "ref/prompt");
    if ((!is_prompt && !slice_is(type, "ref/resource")) ||
        !copy_member(ref, is_prompt ? "name" : "uri", at->ref, sizeof at->ref))
        return false;
    *ret = (struct mcp_completion){ .is_prompt = is_prompt,
                                    .ref = at->ref,
                                    .argument = at->argument,
                                    .value = at->value,
                                    .context = SLICE_LITERAL("{}") };
    if (json_member(c->params, "context", &context))
        (void)json_member(context, "arguments", &ret->context); /* there may be none */
    return true;
}

static void complete(struct mcp_call *c)
{
    const struct mcp *m = c->site->mcp;
    struct completing *at = malloc(sizeof *at);
    struct mcp_completion wanted;
    bool is_answered = false;
    assert(at);
    bool ok = read_completion(c, at, &wanted);
    for (size_t i = 0; ok && i < m->n_parts && !is_answered; i++)
        is_answered = m->parts[i]->complete && m->parts[i]->complete(c, &wanted);
    free(at);
    if (!ok)
        refuse(c, "params needs ref {type, name or uri} and argument {name, value}");
    else if (!is_answered)
        mcp_part_completed(c, slice_of(NULL, 0), 0);
}

void mcp_part_completed(struct mcp_call *c, struct slice values, size_t total)
{
    CLEANUP_BUF struct buf out = BUF_INIT(MCP_MAX_RESULT_BYTES);
    buf_add_str(&out, "{\"completion\":{\"values\":[");
    buf_add_slice(&out, values);
    buf_addf(&out, "],\"total\":%zu,\"hasMore\":%s}}", total, total > 100 ? "true" : "false");
    mcp_call_result(c, &out);
}

/* ---- the table ---- */

#define LEGACY MCP_METHOD_LEGACY
#define MODERN MCP_METHOD_MODERN
#define BOTH   MCP_METHOD_BOTH
#define WORK   (MCP_METHOD_BOTH | MCP_METHOD_WORKS)
static const struct mcp_method METHODS[] = {
    { "initialize", LEGACY, MCP_KEEP_UNSAID, initialize },
    { "ping", LEGACY, MCP_KEEP_UNSAID, answer_empty },
    { "logging/setLevel", LEGACY, MCP_KEEP_UNSAID, set_level },
    { "resources/subscribe", LEGACY, MCP_KEEP_UNSAID, mcp_subscribe },
    { "resources/unsubscribe", LEGACY, MCP_KEEP_UNSAID, mcp_unsubscribe },
    { "server/discover", MODERN, MCP_KEEP_PUBLIC, discover },
    { "subscriptions/listen", MODERN | MCP_METHOD_QUIET, MCP_KEEP_UNSAID, mcp_listen },
    { "tools/list", BOTH, MCP_KEEP_PUBLIC, mcp_list_tools },
    { "tools/call", WORK, MCP_KEEP_UNSAID, call_tool },
    { "resources/list", WORK, MCP_KEEP_PRIVATE, mcp_list_resources },
    { "resources/templates/list", BOTH, MCP_KEEP_PUBLIC, mcp_list_templates },
    { "resources/read", WORK, MCP_KEEP_PRIVATE, read_resource },
    { "prompts/list", BOTH, MCP_KEEP_PUBLIC, mcp_list_prompts },
    { "prompts/get", WORK, MCP_KEEP_UNSAID, get_prompt },
    { "completion/complete", WORK, MCP_KEEP_UNSAID, complete },
};
#undef LEGACY
#undef MODERN
#undef BOTH
#undef WORK

const struct mcp_method *mcp_method_find(const char *name, bool is_modern)
{
    unsigned era = is_modern ? MCP_METHOD_MODERN : MCP_METHOD_LEGACY;
    for (size_t i = 0; i < ARRAY_LEN(METHODS); i++)
        if (strcmp(METHODS[i].name, name) == 0)
            return METHODS[i].flags & era ? &METHODS[i] : NULL;
    return NULL;
}
