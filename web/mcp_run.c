/*      start: submit ──► accepted ──► record at its end ──► images it keeps aside ──► the result
 *                            └──► in background: record as it is ──────┘
 *      look:  (record at its end, until the timer) ──► record ────────┘                          */
#include "web/mcp_run.h"

#include <assert.h>
#include <stdlib.h>

#include "base/json.h"
#include "kernelhub/follower.h"
#include "kernelhub/session.h"
#include "protocol/event_record.h"
#include "protocol/plain_text.h"
#include "web/mcp_answer.h"
#include "web/mcp_files_job.h"
#include "web/stop.h"

#define MAX_PROGRESS_BYTES (1u << 20)

struct run {
    struct mcp_call *call;
    struct mcp_view_options options;
    struct uuid id; /* none until it was accepted */
    bool in_background, has_ended;
    bool is_look; /* it is not ours: nobody interrupts it for us */
    struct wait *wait;
    struct follower *follower; /* NULL: nobody wants progress */
    struct mcp_view *view;
    int timer; /* of a look that waits; -1: none */
};

static struct hub *hub_of(const struct run *run)
{
    return run->call->site->hub;
}

static void stop_timer(struct run *run)
{
    if (run->timer >= 0)
        loop_timer_end(hub_loop(hub_of(run)), run->timer);
    run->timer = -1;
}

static void run_free(void *own)
{
    struct run *run = own;
    wait_cancel(run->wait);
    stop_timer(run);
    follower_free(run->follower);
    mcp_view_free(run->view);
    free(run);
}

/* Its own record comes then, as interrupted; the answer goes nowhere. A look ends with its client: it would be one of the user's
 * few calls for as long as it was to wait. */
static void on_cancel(struct mcp_call *c, void *own)
{
    struct run *run = own;
    struct err e = ERR_INIT;
    if (run->is_look) {
        (void)err_set(&e, ERR_GONE, "nobody looks any more");
        mcp_call_failed(c, &e);
        return;
    }
    if (!run->has_ended && uuid_is_set(&run->id))
        stop_unwatched(c->site, c->user, &run->id);
}

static struct run *run_new(struct mcp_call *c, const struct mcp_view_options *options)
{
    struct run *run = calloc(1, sizeof *run);
    assert(run);
    *run = (struct run){ .call = c, .options = *options, .timer = -1 };
    mcp_call_own(c, run, on_cancel, run_free);
    return run;
}

/* ---- its record ---- */

static void answer(struct run *run)
{
    CLEANUP_BUF struct buf out = BUF_INIT(MCP_MAX_RESULT_BYTES);
    mcp_view_write(run->view, &out);
    mcp_call_result(run->call, &out);
}

static void fetch_images(struct run *run);

static void on_blob(void *arg, const struct err *e, const char *media_type, struct slice bytes)
{
    struct run *run = arg;
    run->wait = NULL;
    mcp_view_give(run->view, e ? slice_of(NULL, 0) : bytes);
    fetch_images(run);
}

static void fetch_images(struct run *run)
{
    unsigned blob;
    if (!mcp_view_wants(run->view, &blob)) {
        answer(run);
        return;
    }
    struct wait *w = execution_blob(hub_of(run), run->call->user, &run->id, blob, on_blob, run);
    if (w) /* else it was answered, and the run may be gone */
        run->wait = w;
}

/* What waits for its kernel has no sandbox yet; its session has, when it was asked for in one. */
static void find_sandbox(struct run *run, struct slice json)
{
    CLEANUP_BUF struct buf text = BUF_INIT(65536);
    struct slice raw;
    char name[256];
    struct session *session = NULL;
    if (!json_member_string(json, "sandbox_id", &raw) &&
        json_member_string(json, "session", &raw) && json_copy_string(raw, name, sizeof name))
        session = session_find(hub_of(run), run->call->user, name);
    if (!session)
        return;
    session_write(session, &text);
    if (json_member_string(buf_slice(&text), "sandbox_id", &raw))
        (void)json_copy_string(raw, run->options.sandbox, sizeof run->options.sandbox);
}

/* A link to a file is good as long as the file is there. */
static void find_files(struct run *run, struct slice json)
{
    struct slice raw;
    char id[64];
    run->options.has_own_files = json_member_string(json, "sandbox_id", &raw) &&
                                 json_copy_string(raw, id, sizeof id) &&
                                 !mcp_files_are_shared(run->call, id);
}

static void show(struct run *run, struct slice json)
{
    stop_timer(run);
    follower_free(TAKE(run->follower));
    find_sandbox(run, json);
    find_files(run, json);
    run->view = mcp_view_new(json, &run->options);
    fetch_images(run);
}

static void on_record(void *arg, const struct err *e, struct slice json)
{
    struct run *run = arg;
    run->wait = NULL;
    run->has_ended = true;
    if (e)
        mcp_answer_execution_error(run->call, e);
    else
        show(run, json);
}

/* ---- what it prints, while it runs ---- */

static void tell(struct run *run, struct slice line)
{
    struct slice name, raw;
    enum event_type type;
    if (!json_member_string(line, "type", &name) || !event_type_parse(name, &type))
        return;
    if (type == EVENT_QUEUED)
        mcp_call_doing(run->call, "waiting for its turn");
    else if (type == EVENT_STARTED)
        mcp_call_doing(run->call, "running");
    if ((type != EVENT_STDOUT && type != EVENT_STDERR) || !json_member_string(line, "text", &raw))
        return;
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_PROGRESS_BYTES),
                           plain = BUF_INIT(MAX_PROGRESS_BYTES);
    json_unescape(&text, raw);
    plain_text(&plain, buf_slice(&text));
    if (plain.len)
        mcp_call_progress(run->call, buf_slice(&plain));
}

static void on_ready(void *arg)
{
    struct run *run = arg;
    struct err e = ERR_INIT;
    struct slice line;
    uint64_t seq;
    while (mcp_call_wants_progress(run->call) &&
           follower_next(run->follower, &seq, &line, &e) == FOLLOW_LINE)
        tell(run, line);
}

static void follow(struct run *run)
{
    if (!mcp_call_wants_progress(run->call))
        return;
    run->follower =
        follower_of_execution(hub_of(run), run->call->user, &run->id, 0, true, on_ready, run);
    on_ready(run);
}

/* ---- start ---- */

static void on_accepted(void *arg, const struct err *e, struct slice json)
{
    struct run *run = arg;
    struct mcp_call *c = run->call;
    struct slice id;
    struct err own = ERR_INIT;
    run->wait = NULL;
    if (!e && (!json_member_string(json, "execution_id", &id) || !uuid_parse(id, &run->id))) {
        (void)err_set(&own, ERR_INTERNAL, "the execution was accepted without an id");
        e = &own;
    }
    if (e) {
        mcp_answer_error(c, e);
        return;
    }
    if (c->is_cancelled)
        stop_unwatched(c->site, c->user, &run->id);
    if (!run->in_background)
        follow(run);
    struct wait *w =
        execution_record(c->site->hub, c->user, &run->id, !run->in_background, on_record, run);
    if (w) /* else it was answered, and the run is gone */
        run->wait = w;
}

void mcp_run_start(struct mcp_call *c, const struct execution_request *wanted,
                   const struct mcp_view_options *options, bool in_background)
{
    struct run *run = run_new(c, options);
    run->in_background = in_background;
    mcp_call_doing(c, "starting");
    struct wait *w = execution_submit(c->site->hub, c->user, wanted, on_accepted, run);
    if (w)
        run->wait = w;
}

/* ---- look ---- */

static void look(struct run *run)
{
    struct wait *w =
        execution_record(hub_of(run), run->call->user, &run->id, false, on_record, run);
    if (w)
        run->wait = w;
}

static int on_timer(struct loop *loop, int timer, void *arg)
{
    struct run *run = arg;
    run->timer = -1;
    wait_cancel(TAKE(run->wait));
    look(run);
    return 0;
}

/* One that never started fails; its record says how. */
static void on_end(void *arg, const struct err *e, struct slice json)
{
    struct run *run = arg;
    run->wait = NULL;
    if (e && e->code != ERR_NOT_FOUND) {
        stop_timer(run);
        look(run);
        return;
    }
    on_record(run, e, json);
}

void mcp_run_look(struct mcp_call *c, const struct uuid *id, const struct mcp_view_options *options,
                  int64_t wait_ms)
{
    struct run *run = run_new(c, options);
    run->id = *id;
    run->is_look = true;
    if (wait_ms == 0) {
        look(run);
        return;
    }
    follow(run);
    run->timer = loop_timer(hub_loop(c->site->hub), (size_t)wait_ms, on_timer, run);
    struct wait *w = execution_record(c->site->hub, c->user, id, true, on_end, run);
    if (w)
        run->wait = w;
}
