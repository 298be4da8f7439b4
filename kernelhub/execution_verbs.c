/* The verbs of execution.h that clients reach, but execution_submit. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "kernelhub/execution_internal.h"
#include "kernelhub/wait.h"

static struct wait *refuse(enum err_code code, const char *text, reply_fn done, void *arg)
{
    struct err e;
    (void)err_set(&e, code, "%s", text);
    done(arg, &e, slice_of(NULL, 0));
    return NULL;
}

static void on_json(void *arg, const struct err *e, struct slice json)
{
    wait_answer(arg, e, json);
}

/* What the store does not know: how many come before one that waits. */
struct live {
    struct hub *hub;
    struct wait *wait;
    struct uuid id;
};

static void on_live_record(void *arg, const struct err *e, struct slice json)
{
    struct live live = *(struct live *)arg;
    const struct execution *x = zhashx_lookup(live.hub->executions, live.id.text);
    free(arg);
    if (e || !x || x->status != STATUS_QUEUED) {
        wait_answer(live.wait, e, json);
        return;
    }
    CLEANUP_BUF struct buf out = BUF_INIT(json.len + 64);
    buf_add(&out, json.data, json.len - 1);
    buf_addf(&out, ",\"position\":%u}", execution_position(x));
    wait_answer(live.wait, NULL, buf_slice(&out));
}

struct wait *execution_record(struct hub *h, const struct user *u, const struct uuid *id,
                              bool until_end, reply_fn done, void *arg)
{
    struct execution *x = zhashx_lookup(h->executions, id->text);
    if (x && x->user != u)
        return refuse(ERR_NOT_FOUND, "there is no such execution", done, arg);
    if (x && until_end)
        return wait_new(x->waits, done, arg);
    struct wait *w = wait_new(NULL, done, arg);
    if (!x || x->status != STATUS_QUEUED) {
        wait_set_query(w, store_read_record(h->store, id, &u->id, on_json, w));
        return w;
    }
    struct live *live = calloc(1, sizeof *live);
    if (!live)
        abort();
    *live = (struct live){ h, w, *id };
    wait_set_ticket(w, store_read_record(h->store, id, &u->id, on_live_record, live), live);
    return w;
}

struct wait *execution_list(struct hub *h, const struct user *u, const struct execution_filter *f,
                            reply_fn done, void *arg)
{
    const struct uuid *of = &u->id;
    if (f->user && !u->admin)
        return refuse(ERR_FORBIDDEN, "only admins see other users' history", done, arg);
    if (f->user && strcmp(f->user, "*") == 0) {
        of = NULL;
    } else if (f->user) {
        const struct user *other = user_find(h, f->user);
        if (!other)
            return refuse(ERR_NOT_FOUND, "there is no such user", done, arg);
        of = &other->id;
    }
    struct wait *w = wait_new(NULL, done, arg);
    wait_set_query(w, store_list_executions(h->store, of, f, on_json, w));
    return w;
}

struct stop {
    struct wait *wait;
    struct uuid user_id, id;
    bool only_queued;
};

static void write_status(const struct uuid *id, const char *status, struct buf *out)
{
    buf_addf(out, "{\"execution_id\":\"%s\",\"status\":\"%s\"}", id->text, status);
}

static void on_found(void *arg, const struct err *e, struct slice json)
{
    struct stop *stop = arg;
    struct wait *w = stop->wait;
    struct slice user = { 0 }, status = { 0 };
    char text[32] = "";
    CLEANUP_BUF struct buf out = BUF_INIT(256);
    bool found =
        !e && json_member_string(json, "user_id", &user) && slice_is(user, stop->user_id.text) &&
        json_member_string(json, "status", &status) && json_copy_string(status, text, sizeof text);
    bool refused = found && stop->only_queued;
    write_status(&stop->id, text, &out);
    free(stop);
    if (refused)
        wait_fail(w, ERR_CONFLICT, "it has ended already");
    else if (found)
        wait_answer(w, NULL, buf_slice(&out));
    else
        wait_fail(w, ERR_NOT_FOUND, "there is no such execution");
}

/* Of an execution that is not in memory: it has ended; there is nothing to stop. */
static struct wait *look_up(struct hub *h, const struct user *u, const struct uuid *id,
                            bool only_queued, reply_fn done, void *arg)
{
    struct stop *stop = calloc(1, sizeof *stop);
    if (!stop)
        abort();
    *stop = (struct stop){ wait_new(NULL, done, arg), u->id, *id, only_queued };
    struct wait *w = stop->wait;
    wait_set_ticket(w, store_find_execution(h->store, id, on_found, stop), stop);
    return w;
}

static struct wait *answer(const struct execution *x, const char *status, reply_fn done, void *arg)
{
    CLEANUP_BUF struct buf out = BUF_INIT(256);
    write_status(&x->id, status, &out);
    done(arg, NULL, buf_slice(&out));
    return NULL;
}

struct wait *execution_status(struct hub *h, const struct user *u, const struct uuid *id,
                              reply_fn done, void *arg)
{
    struct execution *x = zhashx_lookup(h->executions, id->text);
    if (!x)
        return look_up(h, u, id, false, done, arg);
    if (x->user != u)
        return refuse(ERR_NOT_FOUND, "there is no such execution", done, arg);
    return answer(x, status_name(x->status), done, arg);
}

struct wait *execution_interrupt(struct hub *h, const struct user *u, const struct uuid *id,
                                 reply_fn done, void *arg)
{
    struct execution *x = zhashx_lookup(h->executions, id->text);
    if (!x)
        return look_up(h, u, id, false, done, arg);
    if (x->user != u)
        return refuse(ERR_NOT_FOUND, "there is no such execution", done, arg);
    if (status_is_end(x->status))
        return answer(x, status_name(x->status), done, arg);
    struct session *s = x->session;
    if (s->running != x) {
        execution_cancel_queued(x, "it was interrupted before it ran", NULL);
        execution_tell_positions(s);
        return answer(x, status_name(STATUS_CANCELLED), done, arg);
    }
    execution_send_interrupt(x);
    return answer(x, status_name(x->status), done, arg);
}

struct wait *execution_cancel(struct hub *h, const struct user *u, const struct uuid *id,
                              reply_fn done, void *arg)
{
    struct execution *x = zhashx_lookup(h->executions, id->text);
    if (!x)
        return look_up(h, u, id, true, done, arg);
    if (x->user != u)
        return refuse(ERR_NOT_FOUND, "there is no such execution", done, arg);
    if (status_is_end(x->status) || x->session->running == x)
        return refuse(ERR_CONFLICT, "it is running already: interrupt it instead", done, arg);
    struct session *s = x->session;
    execution_cancel_queued(x, "it was cancelled", NULL);
    execution_tell_positions(s);
    return answer(x, status_name(STATUS_CANCELLED), done, arg);
}

struct wait *execution_input(struct hub *h, const struct user *u, const struct uuid *id,
                             struct slice value, reply_fn done, void *arg)
{
    struct execution *x = zhashx_lookup(h->executions, id->text);
    if (!x)
        return look_up(h, u, id, true, done, arg);
    if (x->user != u)
        return refuse(ERR_NOT_FOUND, "there is no such execution", done, arg);
    if (value.len > EXECUTION_MAX_INPUT_BYTES)
        return refuse(ERR_TOO_LARGE, "an answer to input() has at most 1048576 bytes", done, arg);
    if (x->status != STATUS_WAITING_INPUT)
        return refuse(ERR_CONFLICT, "it does not wait for input", done, arg);
    if (x->session->sandbox->state != SANDBOX_UP)
        return refuse(ERR_UNAVAILABLE, "its sandbox is being reached again: try in a moment", done,
                      arg);
    execution_answer_input(x, value);
    return answer(x, status_name(x->status), done, arg);
}

struct wait *execution_source(struct hub *h, const struct user *u, const struct uuid *id,
                              reply_fn done, void *arg)
{
    struct wait *w = wait_new(NULL, done, arg);
    wait_set_query(w, store_read_source(h->store, id, &u->id, on_json, w));
    return w;
}

struct blob_call {
    blob_fn done;
    void *arg;
    struct wait *wait;
};

static void never(void *arg, const struct err *e, struct slice json)
{
}

static void on_blob(void *arg, const struct err *e, const char *media_type, struct slice bytes)
{
    struct blob_call call = *(struct blob_call *)arg;
    free(arg);
    wait_answer(call.wait, NULL, slice_of(NULL, 0)); /* only frees it */
    call.done(call.arg, e, media_type, bytes);
}

struct wait *execution_blob(struct hub *h, const struct user *u, const struct uuid *id, unsigned n,
                            blob_fn done, void *arg)
{
    struct blob_call *call = calloc(1, sizeof *call);
    if (!call)
        abort();
    *call = (struct blob_call){ done, arg, wait_new(NULL, never, NULL) };
    struct wait *w = call->wait;
    wait_set_ticket(w, store_read_blob(h->store, id, &u->id, n, on_blob, call), call);
    return w;
}

struct output_call {
    output_fn done;
    void *arg;
    struct wait *wait;
};

static void on_output(void *arg, const struct err *e, const struct output_found *found)
{
    struct output_call call = *(struct output_call *)arg;
    free(arg);
    wait_answer(call.wait, NULL, slice_of(NULL, 0)); /* only frees it */
    call.done(call.arg, e, found);
}

struct wait *execution_output(struct hub *h, const struct user *u, const struct uuid *id,
                              const struct output_part *part, output_fn done, void *arg)
{
    struct output_call *call = calloc(1, sizeof *call);
    if (!call)
        abort();
    *call = (struct output_call){ done, arg, wait_new(NULL, never, NULL) };
    struct wait *w = call->wait;
    wait_set_ticket(w, store_read_output(h->store, id, &u->id, part, on_output, call), call);
    return w;
}
