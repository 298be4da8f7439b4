/* interrupt_execution: one execution, or whatever runs in a sandbox; or its kernels anew. */
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kernelhub/execution.h"
#include "kernelhub/sandbox_verbs.h"
#include "kernelhub/session.h"
#include "web/fields.h"
#include "web/mcp_answer.h"
#include "web/mcp_tools.h"
#include "web/mcp_view.h"

#define MAX_LIST_BYTES (8u << 20)
#define MAX_SESSIONS   64

struct stop {
    struct mcp_call *call;
    struct mcp_answer answer;
    struct wait *wait;
    bool restart;
    char sandbox_id[37];
    char names[MAX_SESSIONS][128]; /* of sessions that are to be restarted */
    size_t n, at;
};

static void stop_free(void *own)
{
    struct stop *s = own;
    wait_cancel(s->wait);
    mcp_answer_done(&s->answer);
    free(s);
}

/* The answer's own memory is the call's. */
static void send_answer(struct stop *s)
{
    CLEANUP_MCP_ANSWER struct mcp_answer a = s->answer;
    mcp_answer_init(&s->answer, 0);
    mcp_answer_send(&a, s->call);
}

/* ---- one execution ---- */

static void on_interrupted(void *arg, const struct err *e, struct slice json)
{
    struct stop *s = arg;
    struct slice id = { 0 }, status = { 0 };
    s->wait = NULL;
    if (e) {
        mcp_answer_execution_error(s->call, e);
        return;
    }
    (void)json_member_string(json, "execution_id", &id); /* always there */
    (void)json_member_string(json, "status", &status);
    buf_add_str(&s->answer.text, "execution_id: ");
    buf_add_slice(&s->answer.text, id);
    buf_add_str(&s->answer.text, " | ");
    buf_add_slice(&s->answer.text, status);
    buf_add_str(&s->answer.text, slice_is(status, "running") || slice_is(status, "waiting_input")
                                     ? "\nIt was interrupted; get_execution tells how it ended.\n"
                                     : "\nIt does not run.\n");
    buf_add_str(&s->answer.structured, "{\"interrupted\":[");
    if (slice_is(status, "running") || slice_is(status, "waiting_input") ||
        slice_is(status, "cancelled"))
        json_quote(&s->answer.structured, id);
    buf_add_str(&s->answer.structured, "],\"restarted\":[]}");
    send_answer(s);
}

/* ---- a sandbox ---- */

static void finish(struct stop *s)
{
    buf_addf(&s->answer.text, "sandbox_id: %s\n", s->sandbox_id[0] ? s->sandbox_id : "none");
    if (s->n == 0)
        buf_add_str(&s->answer.text, "nothing was running\n");
    for (size_t i = 0; i < s->n; i++)
        buf_addf(&s->answer.text,
                 s->restart ? "session %s: a fresh kernel; variables are lost, files are kept\n"
                            : "session %s: interrupted; variables are kept\n",
                 s->names[i]);
    buf_addf(&s->answer.structured, "{\"sandbox_id\":");
    json_quote_str(&s->answer.structured, s->sandbox_id[0] ? s->sandbox_id : "");
    for (int restarted = 0; restarted < 2; restarted++) {
        buf_addf(&s->answer.structured, ",\"%s\":[", restarted ? "restarted" : "interrupted");
        for (size_t i = 0; i < s->n && s->restart == (bool)restarted; i++) {
            if (i)
                buf_add_char(&s->answer.structured, ',');
            json_quote_str(&s->answer.structured, s->names[i]);
        }
        buf_add_char(&s->answer.structured, ']');
    }
    buf_add_char(&s->answer.structured, '}');
    send_answer(s);
}

static void restart_next(struct stop *s);

static void on_restarted(void *arg, const struct err *e, struct slice json)
{
    struct stop *s = arg;
    s->wait = NULL;
    if (e)
        mcp_answer_error(s->call, e);
    else
        restart_next(s);
}

/* One after the other; one that is gone meanwhile needs none. */
static void restart_next(struct stop *s)
{
    struct mcp_call *c = s->call;
    struct session *session = NULL;
    while (s->at < s->n && !session)
        session = session_find(c->site->hub, c->user, s->names[s->at++]);
    if (!session) {
        finish(s);
        return;
    }
    struct wait *w = session_restart(c->site->hub, session, on_restarted, s);
    if (w) /* else it was answered */
        s->wait = w;
}

/* Sessions of the sandbox: all, or those where something runs. */
static void find_sessions(struct stop *s, const char *only)
{
    CLEANUP_BUF struct buf all = BUF_INIT(MAX_LIST_BYTES);
    struct slice items, raw;
    session_write_all(s->call->site->hub, s->call->user, &all);
    if (!json_member(buf_slice(&all), "items", &items))
        return;
    for (struct json_iter it = json_iter(items); json_next(&it) && s->n < MAX_SESSIONS;) {
        bool is_here =
            json_member_string(it.value, "sandbox_id", &raw) && slice_is(raw, s->sandbox_id);
        bool is_busy = json_member(it.value, "running", &raw) && json_type(raw) == JSON_STRING;
        if (!is_here || (!is_busy && !s->restart) || !json_member_string(it.value, "name", &raw) ||
            !json_copy_string(raw, s->names[s->n], sizeof s->names[0]) ||
            (only && strcmp(only, s->names[s->n]) != 0))
            continue;
        s->n++;
    }
}

static void interrupt_all(struct stop *s)
{
    struct mcp_call *c = s->call;
    struct err e = ERR_INIT;
    for (size_t i = 0; i < s->n; i++) {
        struct session *session = session_find(c->site->hub, c->user, s->names[i]);
        if (session && session_interrupt(c->site->hub, session, &e) < 0) {
            mcp_answer_error(c, &e);
            return;
        }
    }
    finish(s);
}

struct wish {
    const char *sandbox, *execution_id, *session;
    bool restart;
    int64_t max_chars;
};

#define AT(member) offsetof(struct wish, member)
static const struct field FIELDS[] = {
    { "sandbox_id", FIELD_NAME, AT(sandbox), false, MCP_MAX_NAME, FIELD_NO_CONFIG, NULL },
    { "execution_id", FIELD_NAME, AT(execution_id), false, MCP_MAX_NAME, FIELD_NO_CONFIG, NULL },
    { "session", FIELD_NAME, AT(session), false, MCP_MAX_NAME, FIELD_NO_CONFIG, NULL },
    { "restart", FIELD_FLAG, AT(restart), false, 0, FIELD_NO_CONFIG, NULL },
    MCP_FIELD_CHARS(struct wish, max_chars),
};
#undef AT

static struct stop *stop_new(struct mcp_call *c, const struct wish *w)
{
    struct stop *s = calloc(1, sizeof *s);
    assert(s);
    s->call = c;
    s->restart = w->restart;
    mcp_answer_init(&s->answer, w->max_chars);
    mcp_call_own(c, s, NULL, stop_free);
    return s;
}

static void stop_execution(struct mcp_call *c, const struct wish *w)
{
    struct uuid id;
    struct err e = ERR_INIT;
    if (w->restart || w->sandbox || w->session) {
        (void)err_set(&e, ERR_INVALID,
                      "field 'execution_id' stands alone: to restart a kernel give sandbox_id");
        mcp_answer_error(c, &e);
        return;
    }
    if (!uuid_parse(slice_str(w->execution_id), &id)) {
        (void)err_set(&e, ERR_NOT_FOUND, "there is no such execution");
        mcp_answer_execution_error(c, &e);
        return;
    }
    struct stop *s = stop_new(c, w);
    struct wait *wait = execution_interrupt(c->site->hub, c->user, &id, on_interrupted, s);
    if (wait) /* else it was answered */
        s->wait = wait;
}

static void stop_sandbox(struct mcp_call *c, const struct wish *w)
{
    struct sandbox *sandbox;
    struct err e = ERR_INIT;
    struct slice id;
    bool is_there = sandbox_find(c->site->hub, c->user, w->sandbox ? w->sandbox : SANDBOX_DEFAULT,
                                 &sandbox, &e) == 0;
    if (!is_there && w->sandbox) {
        mcp_answer_error(c, &e);
        return;
    }
    struct stop *s = stop_new(c, w);
    if (is_there) {
        CLEANUP_BUF struct buf record = BUF_INIT(MAX_LIST_BYTES);
        sandbox_called(sandbox);
        sandbox_write(sandbox, &record);
        if (json_member_string(buf_slice(&record), "sandbox_id", &id))
            (void)json_copy_string(id, s->sandbox_id, sizeof s->sandbox_id); /* a UUID fits */
        find_sessions(s, w->session);
    }
    if (w->restart)
        restart_next(s);
    else
        interrupt_all(s);
}

void mcp_interrupt_execution(struct mcp_call *c, struct slice arguments)
{
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    struct wish w = { .sandbox = NULL };
    struct err e = ERR_INIT;
    if (fields_read(&fields, arguments, FIELDS, ARRAY_LEN(FIELDS), c->site->config, &w, &e) < 0 ||
        mcp_check_chars(w.max_chars, &e) < 0)
        mcp_answer_error(c, &e);
    else if (w.execution_id)
        stop_execution(c, &w);
    else
        stop_sandbox(c, &w);
}
