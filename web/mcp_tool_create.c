/* create_sandbox:  (install packages) ──► sandbox ──► (a language's kernel) ──► the answer */
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kernelhub/packages.h"
#include "kernelhub/sandbox_verbs.h"
#include "kernelhub/session.h"
#include "protocol/plain_text.h"
#include "web/fields.h"
#include "web/mcp_answer.h"
#include "web/mcp_tools.h"
#include "web/mcp_view.h"

#define MAX_RECORD_BYTES   (64u << 20)
#define MAX_SECONDS        31536000
#define MAX_LABEL          512
#define MAX_PACKAGES_BYTES (64u << 10)
#define MAX_TEXT_BYTES     (1u << 20)

struct wish {
    struct sandbox_wish sandbox;
    const char *language, *workspace, *ignored;
    struct slice packages;
    int64_t max_chars;
};

struct create {
    struct mcp_call *call;
    struct mcp_answer answer;
    struct fields fields; /* what the wish points to */
    struct wish wish;
    struct package_install *install; /* NULL: none is under way */
    struct wait *wait;
    struct buf installed; /* JSON strings, with commas between */
    char name[MCP_MAX_NAME + 1];
    bool is_new;
};

static void create_free(void *own)
{
    struct create *k = own;
    if (k->install)
        packages_leave(k->install);
    wait_cancel(k->wait);
    mcp_answer_done(&k->answer);
    buf_done(&k->installed);
    fields_done(&k->fields);
    free(k);
}

/* The answer's own memory is the call's. */
static void send_answer(struct create *k)
{
    CLEANUP_MCP_ANSWER struct mcp_answer a = k->answer;
    mcp_answer_init(&k->answer, 0);
    mcp_answer_send(&a, k->call);
}

/* ---- the sandbox ---- */

/* Its kernel is there, too. */
static void on_session(void *arg, const struct err *e, struct slice json)
{
    struct create *k = arg;
    struct slice name, language;
    k->wait = NULL;
    if (e) {
        char hint[512];
        (void)snprintf(hint, sizeof hint,
                       "The sandbox '%s' %s, without that kernel: use it as sandbox_id, or "
                       "destroy_sandbox.",
                       k->name, k->is_new ? "was made" : "is there");
        mcp_call_tool_error(k->call, e, hint);
        return;
    }
    k->answer.structured.len--; /* its brace */
    if (json_member_string(json, "name", &name) && json_member(json, "language", &language)) {
        buf_add_str(&k->answer.text, "session ");
        json_unescape(&k->answer.text, name);
        buf_add_str(&k->answer.text, " is ready\n");
        buf_add_str(&k->answer.structured, ",\"session\":\"");
        buf_add_slice(&k->answer.structured, name);
        buf_add_str(&k->answer.structured, "\",\"language\":");
        buf_add_slice(&k->answer.structured, language);
    }
    buf_add_char(&k->answer.structured, '}');
    send_answer(k);
}

static void show(struct create *k, struct slice record)
{
    struct mcp_call *c = k->call;
    buf_add_str(&k->answer.text, k->is_new ? "created " : "it was there already: ");
    mcp_sandbox_write_line(record, &k->answer.text);
    buf_add_char(&k->answer.structured, '{');
    mcp_sandbox_write_members(record, &k->answer.structured);
    buf_addf(&k->answer.structured, ",\"created\":%s", k->is_new ? "true" : "false");
    if (k->wish.packages.data) {
        buf_add_str(&k->answer.structured, ",\"installed\":[");
        buf_add_slice(&k->answer.structured, buf_slice(&k->installed));
        buf_add_char(&k->answer.structured, ']');
    }
    buf_add_char(&k->answer.structured, '}');
    if (!k->wish.language) {
        send_answer(k);
        return;
    }
    const struct session_wish wish = { .language = k->wish.language, .sandbox = k->name };
    struct wait *w = session_create(c->site->hub, c->user, &wish, on_session, k);
    if (w) /* else it was answered */
        k->wait = w;
}

static void on_created(void *arg, const struct err *e, struct slice json)
{
    struct create *k = arg;
    struct sandbox *there;
    struct err other = ERR_INIT;
    struct slice name;
    k->wait = NULL;
    if (!e) {
        k->is_new = true;
        if (json_member_string(json, "name", &name))
            (void)json_copy_string(name, k->name, sizeof k->name); /* it was made up, perhaps */
        show(k, json);
    } else if (e->code == ERR_CONFLICT && k->name[0] &&
               sandbox_find(k->call->site->hub, k->call->user, k->name, &there, &other) == 0) {
        CLEANUP_BUF struct buf record = BUF_INIT(MAX_RECORD_BYTES);
        sandbox_called(there);
        sandbox_write(there, &record);
        show(k, buf_slice(&record));
    } else {
        mcp_answer_error(k->call, e);
    }
}

static void make_sandbox(struct create *k)
{
    struct mcp_call *c = k->call;
    mcp_call_doing(c, "creating the sandbox");
    struct wait *w = sandbox_create(c->site->hub, c->user, &k->wish.sandbox, on_created, k);
    if (w) /* else it was answered */
        k->wait = w;
}

/* ---- packages: of the user, in this sandbox and all others ---- */

static void on_record(void *arg, struct slice record)
{
    struct create *k = arg;
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_TEXT_BYTES), plain = BUF_INIT(MAX_TEXT_BYTES);
    struct slice raw;
    if (!json_member_string(record, "text", &raw)) {
        mcp_call_doing(k->call, "waiting for another install");
        return;
    }
    mcp_call_doing(k->call, "installing packages");
    json_unescape(&text, raw);
    plain_text(&plain, buf_slice(&text));
    if (plain.len)
        mcp_call_progress(k->call, buf_slice(&plain));
}

static void fail_install(struct create *k, struct slice result)
{
    CLEANUP_BUF struct buf output = BUF_INIT(MAX_TEXT_BYTES);
    struct slice raw;
    buf_add_str(&k->answer.text, "The packages were not installed, and nothing was changed: ");
    if (json_member_string(result, "message", &raw) || json_member_string(result, "status", &raw))
        json_unescape(&k->answer.text, raw);
    buf_add_str(&k->answer.text, "\noutput:\n");
    if (json_member_string(result, "output", &raw))
        json_unescape(&output, raw);
    plain_text(&k->answer.text, buf_slice(&output));
    k->answer.is_error = true;
    send_answer(k);
}

static void take_installed(struct create *k, struct slice result)
{
    struct slice items, name, version;
    const char *comma = "";
    buf_add_str(&k->answer.text, "installed: ");
    if (json_member(result, "installed", &items)) {
        for (struct json_iter it = json_iter(items); json_next(&it);) {
            CLEANUP_BUF struct buf line = BUF_INIT(4096);
            if (!json_member_string(it.value, "name", &name) ||
                !json_member_string(it.value, "version", &version))
                continue;
            json_unescape(&line, name);
            buf_add_char(&line, ' ');
            json_unescape(&line, version);
            buf_add_str(&k->answer.text, comma);
            buf_add_slice(&k->answer.text, buf_slice(&line));
            buf_add_str(&k->installed, comma[0] ? "," : "");
            json_quote(&k->installed, buf_slice(&line));
            comma = ", ";
        }
    }
    buf_add_str(&k->answer.text, comma[0] ? "\n" : "nothing new\n");
}

static void on_installed(void *arg, const struct err *e, struct slice result)
{
    struct create *k = arg;
    struct slice status;
    k->install = NULL;
    if (e) {
        mcp_answer_error(k->call, e);
    } else if (!json_member_string(result, "status", &status) || !slice_is(status, "ok")) {
        fail_install(k, result);
    } else {
        take_installed(k, result);
        make_sandbox(k);
    }
}

static void install(struct create *k)
{
    struct mcp_call *c = k->call;
    struct err e = ERR_INIT;
    const struct packages_wish wish = { .language = k->wish.language, .list = k->wish.packages };
    const struct packages_listener listener = { on_record, on_installed, k };
    mcp_call_doing(c, "installing packages");
    if (packages_install(c->site->hub, c->user, &wish, &listener, &k->install, &e) < 0)
        mcp_answer_error(c, &e);
}

/* ---- */

/* `namespace` is what another service's clients say; here each user is one. */
#define AT(member) offsetof(struct wish, member)
static const struct field CREATE[] = {
    { "name", FIELD_NAME, AT(sandbox.name), false, MCP_MAX_NAME, FIELD_NO_CONFIG, NULL },
    { "language", FIELD_NAME, AT(language), false, MCP_MAX_NAME, FIELD_NO_CONFIG, NULL },
    { "packages", FIELD_STRINGS, AT(packages), false, MAX_PACKAGES_BYTES, FIELD_NO_CONFIG, NULL },
    { "template", FIELD_NAME, AT(sandbox.template_name), false, MCP_MAX_NAME, FIELD_NO_CONFIG,
      NULL },
    { "idle_seconds", FIELD_INTEGER, AT(sandbox.idle_seconds), false, MAX_SECONDS, FIELD_NO_CONFIG,
      NULL },
    { "ttl_seconds", FIELD_INTEGER, AT(sandbox.ttl_seconds), false, MAX_SECONDS, FIELD_NO_CONFIG,
      NULL },
    { "workspace", FIELD_NAME, AT(workspace), false, 16, FIELD_NO_CONFIG, "shared private" },
    { "labels", FIELD_LABELS, AT(sandbox.labels), false, MAX_LABEL, FIELD_NO_CONFIG, NULL },
    { "namespace", FIELD_NAME, AT(ignored), false, MCP_MAX_NAME, FIELD_NO_CONFIG, NULL },
    MCP_FIELD_CHARS(struct wish, max_chars),
};
#undef AT

void mcp_create_sandbox(struct mcp_call *c, struct slice arguments)
{
    struct err e = ERR_INIT;
    struct create *k = calloc(1, sizeof *k);
    assert(k);
    k->call = c;
    buf_init(&k->installed, MAX_TEXT_BYTES);
    mcp_call_own(c, k, NULL, create_free);
    if (fields_read(&k->fields, arguments, CREATE, ARRAY_LEN(CREATE), c->site->config, &k->wish,
                    &e) < 0 ||
        mcp_check_chars(k->wish.max_chars, &e) < 0) {
        mcp_answer_error(c, &e);
        return;
    }
    struct sandbox_wish *s = &k->wish.sandbox;
    s->private_workspace = k->wish.workspace && strcmp(k->wish.workspace, "private") == 0;
    mcp_answer_init(&k->answer, k->wish.max_chars);
    (void)snprintf(k->name, sizeof k->name, "%s", s->name ? s->name : "");
    if (k->wish.packages.data)
        install(k);
    else
        make_sandbox(k);
}
