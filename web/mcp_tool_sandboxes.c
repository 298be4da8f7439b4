/* list_sandboxes, destroy_sandbox. create_sandbox is in mcp_tool_create.c. */
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kernelhub/sandbox_verbs.h"
#include "kernelhub/session.h"
#include "web/fields.h"
#include "web/mcp_answer.h"
#include "web/mcp_tools.h"
#include "web/mcp_view.h"

#define MAX_LIST_BYTES (64u << 20)
#define DEFAULT_LIMIT  50

/* ---- what is shown of one ---- */

static const struct shown {
    const char *name;
    const char *label; /* in the text; NULL: the value alone */
} SHOWN[] = {
    { "sandbox_id", NULL },      { "name", "name " },           { "state", NULL },
    { "template", "template " }, { "workspace", "workspace " }, { "expires_at", "expires " },
};

static bool is_text(struct slice value)
{
    return json_type(value) == JSON_STRING;
}

void mcp_sandbox_write_line(struct slice sandbox, struct buf *text)
{
    struct slice value, sessions, name;
    const char *comma = "";
    for (size_t i = 0; i < ARRAY_LEN(SHOWN); i++) {
        if (!json_member(sandbox, SHOWN[i].name, &value) || !is_text(value))
            continue;
        buf_addf(text, "%s%s", comma, SHOWN[i].label ? SHOWN[i].label : "");
        json_unescape(text, slice_of(value.data + 1, value.len - 2));
        comma = " | ";
    }
    comma = " | sessions ";
    if (json_member(sandbox, "sessions", &sessions)) {
        for (struct json_iter it = json_iter(sessions); json_next(&it);) {
            bool is_object = json_type(it.value) == JSON_OBJECT;
            if (!is_object && is_text(it.value))
                name = slice_of(it.value.data + 1, it.value.len - 2);
            else if (!is_object || !json_member_string(it.value, "name", &name))
                continue;
            buf_add_str(text, comma);
            json_unescape(text, name);
            comma = ", ";
        }
    }
    buf_add_char(text, '\n');
}

void mcp_sandbox_write_members(struct slice sandbox, struct buf *out)
{
    const char *comma = "";
    struct slice value;
    for (size_t i = 0; i < ARRAY_LEN(SHOWN); i++) {
        if (!json_member(sandbox, SHOWN[i].name, &value) || !is_text(value))
            continue;
        buf_addf(out, "%s\"%s\":", comma, SHOWN[i].name);
        buf_add_slice(out, value);
        comma = ",";
    }
}

/* ---- list ---- */

struct list {
    int64_t limit, max_chars;
    const char *cursor;
};

static const struct field LIST[] = {
    { "limit", FIELD_INTEGER, offsetof(struct list, limit), false, 500, FIELD_NO_CONFIG, NULL },
    { "cursor", FIELD_NAME, offsetof(struct list, cursor), false, 16, FIELD_NO_CONFIG, NULL },
    MCP_FIELD_CHARS(struct list, max_chars),
};

/* The cursor is the place of the next one. */
static int read_cursor(const char *cursor, size_t *ret, struct err *e)
{
    *ret = 0;
    if (!cursor)
        return 0;
    if (cursor[strspn(cursor, "0123456789")] != '\0' || strlen(cursor) > 6)
        return err_set(e, ERR_INVALID, "field 'cursor' is none that list_sandboxes gave");
    *ret = (size_t)strtoul(cursor, NULL, 10);
    return 0;
}

/* Whose call was cut off finds its execution again by what runs. */
static void write_running(struct slice sessions, struct slice sandbox, struct buf *text,
                          struct buf *structured)
{
    struct slice id, where, name, running;
    const char *comma = "";
    buf_add_str(structured, ",\"running\":[");
    if (json_member_string(sandbox, "sandbox_id", &id)) {
        for (struct json_iter it = json_iter(sessions); json_next(&it);) {
            if (!json_member_string(it.value, "sandbox_id", &where) || !slice_equal(where, id) ||
                !json_member_string(it.value, "running", &running) ||
                !json_member_string(it.value, "name", &name))
                continue;
            buf_add_str(text, "  session ");
            json_unescape(text, name);
            buf_add_str(text, " runs execution_id ");
            buf_add_slice(text, running);
            buf_add_char(text, '\n');
            buf_addf(structured, "%s{\"session\":\"", comma);
            buf_add_slice(structured, name);
            buf_add_str(structured, "\",\"execution_id\":\"");
            buf_add_slice(structured, running);
            buf_add_str(structured, "\"}");
            comma = ",";
        }
    }
    buf_add_char(structured, ']');
}

static void list_items(const struct list *want, size_t from, struct slice items,
                       struct slice sessions, struct mcp_answer *a)
{
    size_t i = 0, n = 0;
    bool has_more = false;
    buf_add_str(&a->structured, "{\"sandboxes\":[");
    for (struct json_iter it = json_iter(items); !has_more && json_next(&it);) {
        CLEANUP_BUF struct buf line = BUF_INIT(MCP_ANSWER_MAX_BYTES),
                               running = BUF_INIT(MCP_ANSWER_MAX_BYTES);
        if (i < from) {
            i++;
            continue;
        }
        mcp_sandbox_write_line(it.value, &line);
        write_running(sessions, it.value, &line, &running);
        has_more = n == (size_t)want->limit || (n > 0 && line.len > mcp_answer_room(a));
        if (has_more)
            break;
        buf_add_slice(&a->text, buf_slice(&line));
        buf_add_str(&a->structured, n ? ",{" : "{");
        mcp_sandbox_write_members(it.value, &a->structured);
        buf_add_slice(&a->structured, buf_slice(&running));
        buf_add_char(&a->structured, '}');
        n++;
        i++;
    }
    if (n == 0)
        buf_add_str(&a->text, "no sandboxes; the first execute_code makes one\n");
    buf_addf(&a->structured, "],\"count\":%zu", n);
    if (has_more) {
        buf_addf(&a->text, "[more: cursor=\"%zu\"]\n", i);
        buf_addf(&a->structured, ",\"next_cursor\":\"%zu\"", i);
    }
    buf_add_char(&a->structured, '}');
}

void mcp_list_sandboxes(struct mcp_call *c, struct slice arguments)
{
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    CLEANUP_MCP_ANSWER struct mcp_answer a = { .max_chars = 0 };
    CLEANUP_BUF struct buf all = BUF_INIT(MAX_LIST_BYTES), busy = BUF_INIT(MAX_LIST_BYTES);
    struct list want = { .limit = DEFAULT_LIMIT };
    struct slice items = SLICE_LITERAL("[]"), sessions = SLICE_LITERAL("[]");
    struct err e = ERR_INIT;
    size_t from;
    mcp_answer_init(&a, 0);
    if (fields_read(&fields, arguments, LIST, ARRAY_LEN(LIST), c->site->config, &want, &e) < 0 ||
        mcp_check_chars(want.max_chars, &e) < 0 || read_cursor(want.cursor, &from, &e) < 0) {
        mcp_answer_error(c, &e);
        return;
    }
    if (want.max_chars)
        a.max_chars = (size_t)want.max_chars;
    sandbox_write_all(c->site->hub, c->user, false, NULL, &all);
    (void)json_member(buf_slice(&all), "items", &items); /* always there */
    session_write_all(c->site->hub, c->user, &busy);
    (void)json_member(buf_slice(&busy), "items", &sessions); /* the same */
    list_items(&want, from, items, sessions, &a);
    mcp_answer_send(&a, c);
}

/* ---- destroy ---- */

struct destroy {
    struct mcp_call *call;
    struct wait *wait;
    char id[37], name[MCP_MAX_NAME + 1];
};

static void destroy_free(void *own)
{
    struct destroy *d = own;
    wait_cancel(d->wait);
    free(d);
}

static void answer_destroyed(struct destroy *d, bool existed)
{
    CLEANUP_MCP_ANSWER struct mcp_answer a = { .max_chars = 0 };
    mcp_answer_init(&a, 0);
    if (existed)
        buf_addf(&a.text, "sandbox %s (%s) is gone; files of a shared workspace are kept\n",
                 d->name, d->id);
    else
        buf_addf(&a.text, "there was no sandbox %s\n", d->name);
    buf_add_str(&a.structured, "{\"sandbox_name\":");
    json_quote_str(&a.structured, d->name);
    if (d->id[0])
        buf_addf(&a.structured, ",\"sandbox_id\":\"%s\"", d->id);
    buf_addf(&a.structured, ",\"existed\":%s,\"success\":true}", existed ? "true" : "false");
    mcp_answer_send(&a, d->call);
}

static void on_destroyed(void *arg, const struct err *e, struct slice json)
{
    struct destroy *d = arg;
    d->wait = NULL;
    if (e)
        mcp_answer_error(d->call, e);
    else
        answer_destroyed(d, true);
}

struct destroy_wish {
    const char *name;
    int64_t max_chars;
};

static const struct field DESTROY[] = {
    { "sandbox_name", FIELD_NAME, offsetof(struct destroy_wish, name), true, MCP_MAX_NAME,
      FIELD_NO_CONFIG, NULL },
    MCP_FIELD_CHARS(struct destroy_wish, max_chars),
};

void mcp_destroy_sandbox(struct mcp_call *c, struct slice arguments)
{
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    CLEANUP_BUF struct buf record = BUF_INIT(MAX_LIST_BYTES);
    struct destroy_wish wish = { .name = NULL };
    struct sandbox *s;
    struct slice id;
    struct err e = ERR_INIT;
    if (fields_read(&fields, arguments, DESTROY, ARRAY_LEN(DESTROY), c->site->config, &wish, &e) <
            0 ||
        mcp_check_chars(wish.max_chars, &e) < 0) {
        mcp_answer_error(c, &e);
        return;
    }
    struct destroy *d = calloc(1, sizeof *d);
    assert(d);
    d->call = c;
    (void)snprintf(d->name, sizeof d->name, "%s", wish.name);
    mcp_call_own(c, d, NULL, destroy_free);
    if (sandbox_find(c->site->hub, c->user, wish.name, &s, &e) < 0) {
        if (e.code == ERR_NOT_FOUND || e.code == ERR_GONE)
            answer_destroyed(d, false);
        else
            mcp_answer_error(c, &e);
        return;
    }
    sandbox_write(s, &record);
    if (json_member_string(buf_slice(&record), "sandbox_id", &id))
        (void)json_copy_string(id, d->id, sizeof d->id); /* a UUID fits */
    mcp_call_doing(c, "ending the sandbox");
    struct wait *w = sandbox_delete(s, "an MCP client ended it", on_destroyed, d);
    if (w) /* else it was answered */
        d->wait = w;
}
