#include "web/run.h"

#include <stdlib.h>

#include "base/json.h"
#include "web/accept.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/stop.h"
#include "web/stream.h"

struct run {
    struct site *site;
    struct user *user;
    struct request *request; /* NULL: the client has gone */
    enum run_form form;
    struct uuid id; /* none until it was accepted */
    bool is_command, interrupt_on_disconnect;
    bool has_ended;    /* or failed: nothing is left to interrupt */
    struct wait *wait; /* without a request; else the request keeps it */
    void *place;       /* in site->runs */
};

static void run_free(struct run *run)
{
    wait_cancel(run->wait);
    if (run->place)
        (void)zlistx_delete(run->site->runs, run->place); /* it is in there */
    free(run);
}

static void keep(struct run *run, struct wait *w)
{
    request_wait(run->request, w);
}

static void fail(struct run *run, const struct err *e)
{
    run->has_ended = true;
    if (e->code == ERR_NOT_FOUND || e->code == ERR_INVALID)
        run->request->hint =
            run->is_command
                ? "GET /api/v1/sandboxes lists your sandboxes; 'default' is made when it is missing"
                : "GET /api/v1/languages lists what can run here, GET /api/v1/sessions your "
                  "sessions";
    reply_error(run->request, e);
}

static void on_record(void *arg, const struct err *e, struct slice json)
{
    struct run *run = arg;
    run->request->wait = NULL;
    if (e) {
        fail(run, e);
        return;
    }
    run->has_ended = true;
    reply_json(run->request, 200, json);
}

/* Copies a member of the hub's answer as it stands. */
static void add_member(struct buf *out, const char *name, struct slice object)
{
    struct slice value;
    buf_addf(out, ",\"%s\":", name);
    buf_add_slice(out, json_member(object, name, &value) ? value : SLICE_LITERAL("null"));
}

static void answer_accepted(struct run *run, struct slice json)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1024);
    buf_addf(&out, "{\"execution_id\":\"%s\",\"job_id\":\"%s\"", run->id.text, run->id.text);
    add_member(&out, "status", json);
    add_member(&out, "position", json);
    buf_add_char(&out, '}');
    reply_buf(run->request, 202, &out);
}

static void open_stream(struct run *run)
{
    struct stream *s = stream_new(run->request, run->form == RUN_SSE ? FORM_SSE : FORM_NDJSON);
    stream_follow(
        s, follower_of_execution(run->site->hub, run->user, &run->id, 0, true, stream_on_ready, s));
}

static void go_on(struct run *run, struct slice json)
{
    switch (run->form) {
    case RUN_ASYNC:
        answer_accepted(run, json);
        return;
    case RUN_WAIT:
        keep(run, execution_record(run->site->hub, run->user, &run->id, true, on_record, run));
        return;
    case RUN_SSE:
    case RUN_NDJSON:
        open_stream(run);
        return;
    }
}

static void on_accepted(void *arg, const struct err *e, struct slice json)
{
    struct run *run = arg;
    struct slice id;
    struct err own = ERR_INIT;
    run->wait = NULL;
    if (run->request)
        run->request->wait = NULL;
    if (!e && (!json_member_string(json, "execution_id", &id) || !uuid_parse(id, &run->id))) {
        (void)err_set(&own, ERR_INTERNAL, "the execution was accepted without an id");
        e = &own;
    }
    if (run->request) {
        if (e)
            fail(run, e);
        else
            go_on(run, json);
        return;
    }
    if (!e)
        stop_unwatched(run->site, run->user, &run->id);
    run_free(run);
}

/* The request ends, with its reply sent or not. A stopping server is no client that leaves. */
static void on_request_done(void *arg, bool completed)
{
    struct run *run = arg;
    struct request *r = run->request;
    struct stream *s = r->stream;
    run->has_ended |= s && stream_is_complete(s);
    bool has_left = !completed && !run->has_ended && !run->site->is_draining;
    bool is_accepted = uuid_is_set(&run->id);
    run->request = NULL;
    if (has_left && run->interrupt_on_disconnect && !is_accepted && r->wait) {
        run->wait = TAKE(r->wait); /* on_accepted interrupts and frees */
        return;
    }
    wait_cancel(TAKE(r->wait)); /* an interrupt may end the execution at once: nobody is told */
    if (has_left && run->interrupt_on_disconnect && is_accepted)
        stop_unwatched(run->site, run->user, &run->id);
    run_free(run);
}

enum run_form run_form(const char *accept)
{
    static const enum run_form FORMS[] = {
        [FORM_JSON] = RUN_WAIT, [FORM_SSE] = RUN_SSE, [FORM_NDJSON] = RUN_NDJSON
    };
    return FORMS[accept_form(accept)];
}

const char *run_client(enum run_form form)
{
    static const char *const NAMES[] = {
        [RUN_WAIT] = "rest", [RUN_SSE] = "sse", [RUN_NDJSON] = "ndjson", [RUN_ASYNC] = "rest"
    };
    return NAMES[form];
}

void run_start(struct request *r, const struct execution_request *wanted, enum run_form form)
{
    struct run *run = calloc(1, sizeof *run);
    assert(run);
    *run = (struct run){ .site = r->site,
                         .user = r->user,
                         .request = r,
                         .form = form,
                         .is_command = wanted->command.len > 0,
                         .interrupt_on_disconnect =
                             wanted->interrupt_on_disconnect && form != RUN_ASYNC };
    run->place = zlistx_add_end(r->site->runs, run);
    request_work(r, run, on_request_done);
    keep(run, execution_submit(r->site->hub, r->user, wanted, on_accepted, run));
}

void run_free_all(struct site *site)
{
    struct run *run;
    while (site->runs && (run = zlistx_first(site->runs)) != NULL)
        run_free(run);
}
