/* The verbs of session.h that clients reach: make, restart, interrupt, delete, list. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "kernelhub/catalog.h"
#include "kernelhub/execution_internal.h"
#include "kernelhub/jupyter_internal.h"
#include "kernelhub/wait.h"
#include "protocol/jupyter_message.h"

#define STOP_GRACE_MS 1000

const char *session_status(const struct session *s)
{
    switch (s->kernel) {
    case KERNEL_NONE:
        return "none";
    case KERNEL_WAITING:
    case KERNEL_STARTING:
        return s->restarting ? "restarting" : "starting";
    case KERNEL_READY:
        return s->running ? "busy" : "idle";
    }
    return "none";
}

static void write_uuid(struct buf *out, const char *name, const struct uuid *id)
{
    if (id && uuid_is_set(id))
        buf_addf(out, ",\"%s\":\"%s\"", name, id->text);
    else
        buf_addf(out, ",\"%s\":null", name);
}

void session_write(const struct session *s, struct buf *out)
{
    char created[28], used[28];
    jupyter_format_time(s->created_us, created);
    jupyter_format_time(s->last_used_us, used);
    buf_add_str(out, "{\"name\":");
    json_quote_str(out, s->name);
    buf_add_str(out, ",\"language\":");
    json_quote_str(out, s->language);
    buf_add_str(out, ",\"kernelspec\":");
    json_quote_str(out, s->kernelspec);
    buf_add_str(out, ",\"template\":");
    json_quote_str(out, s->template_name);
    buf_addf(out, ",\"status\":\"%s\"", session_status(s));
    write_uuid(out, "kernel_id", &s->kernel_id);
    write_uuid(out, "sandbox_id", s->sandbox ? &s->sandbox->id : NULL);
    write_uuid(out, "running", s->running ? &s->running->id : NULL);
    buf_addf(
        out,
        ",\"queued\":%zu,\"execution_count\":%lld,\"created_at\":\"%s\",\"last_used_at\":\"%s\"}",
        zlistx_size(s->queue), (long long)s->execution_count, created, used);
}

void session_write_all(struct hub *h, const struct user *u, struct buf *out)
{
    const char *comma = "";
    buf_add_str(out, "{\"items\":[");
    for (struct session *s = zhashx_first(h->sessions); s; s = zhashx_next(h->sessions)) {
        if (s->user != u || s->ephemeral)
            continue;
        buf_add_str(out, comma);
        session_write(s, out);
        comma = ",";
    }
    buf_add_str(out, "],\"next\":null}");
}

struct wait *session_when_ready(struct session *s, reply_fn done, void *arg)
{
    if (s->kernel == KERNEL_READY) {
        CLEANUP_BUF struct buf json = BUF_INIT(4096);
        session_write(s, &json);
        done(arg, NULL, buf_slice(&json));
        return NULL;
    }
    /* the wait first: a kernel that cannot even be asked for answers it at once */
    struct wait *wait = wait_new(s->waits, done, arg);
    session_need_kernel(s);
    return zlistx_find(s->waits, wait) ? wait : NULL;
}

/* Where it shall be and what it is called. */
static int read_wish(struct hub *h, const struct user *u, const struct session_wish *w,
                     struct sandbox **ret_in, char ret_name[256], struct err *e)
{
    char name[128];
    if (sandbox_named(h, u, w->sandbox, ret_in, e) < 0)
        return -1;
    session_default_name(w->language, *ret_in, name);
    (void)snprintf(ret_name, 256, "%s",
                   w->name ? w->name : name); /* a longer one is refused by session_open */
    return 0;
}

bool session_exists(struct hub *h, const struct user *u, const struct session_wish *w)
{
    struct sandbox *in;
    char name[256];
    return read_wish(h, u, w, &in, name, NULL) == 0 && session_find(h, u, name);
}

struct wait *session_create(struct hub *h, struct user *u, const struct session_wish *w,
                            reply_fn done, void *arg)
{
    struct session *s;
    struct sandbox *in;
    struct err e;
    char name[256];
    if (read_wish(h, u, w, &in, name, &e) < 0 ||
        session_open(h, u, name, w->language, w->template_name, in, false, &s, &e) < 0) {
        done(arg, &e, slice_of(NULL, 0));
        return NULL;
    }
    s->last_used_us = hub_unix_us();
    return session_when_ready(s, done, arg);
}

void session_enter_sandbox(struct session *s, struct sandbox *sandbox)
{
    s->sandbox = sandbox;
    s->kernel_id = uuid_new();
    zhashx_insert(s->hub->kernels, s->kernel_id.text, s);
    s->kernel = KERNEL_WAITING;
    s->start_us = hub_mono_us();
}

static void end_work(struct session *s, const char *reason)
{
    if (s->running) {
        struct outcome outcome = { STATUS_INTERRUPTED, 130, reason };
        execution_finish(s->running, outcome, NULL, NULL, (struct store_mark){ .number = 0 });
    }
    for (struct execution *x = zlistx_first(s->queue); x; x = zlistx_first(s->queue))
        execution_cancel_queued(x, reason, NULL);
}

struct wait *session_restart(struct hub *h, struct session *s, reply_fn done, void *arg)
{
    struct err e;
    if (s->kernel == KERNEL_READY && s->sandbox->state != SANDBOX_UP) {
        (void)err_set(&e, ERR_UNAVAILABLE,
                      "the session's sandbox is being reached again: try in a moment");
        done(arg, &e, slice_of(NULL, 0));
        return NULL;
    }
    end_work(s, "the session was restarted");
    fronts_forget_kernel(s);
    s->last_used_us = hub_unix_us();
    if (s->sandbox)
        sandbox_called(s->sandbox);
    session_refresh(s);
    if (s->kernel == KERNEL_READY && s->start) {
        s->restarting = true;
        s->dying = false;
        s->kernel = KERNEL_STARTING;
        s->start_us = hub_mono_us();
        s->execution_count = 0;
        s->jupyter->welcomes = false; /* the next process says it itself */
        struct link_frame f = { .type = LINK_START,
                                .kernel_id = s->kernel_id,
                                .n_parts = 1,
                                .parts = { slice_str(s->start) } };
        sandbox_send(s->sandbox, &f);
    }
    struct wait *w = wait_new(s->waits, done, arg);
    session_need_kernel(s);
    return zlistx_find(s->waits, w) ? w : NULL;
}

int session_interrupt(struct hub *h, struct session *s, struct err *e)
{
    if (s->running) {
        execution_send_interrupt(s->running);
        return 0;
    }
    if (s->kernel != KERNEL_READY || s->sandbox->state != SANDBOX_UP)
        return 0; /* nothing runs */
    struct link_frame f = { .type = LINK_INTERRUPT, .kernel_id = s->kernel_id };
    sandbox_send(s->sandbox, &f);
    return 0;
}

static int on_reap(struct loop *loop, int timer, void *arg)
{
    session_free(arg);
    return 0;
}

static void send_stop(struct sandbox *sandbox, const struct uuid *kernel_id, int grace_ms)
{
    CLEANUP_BUF struct buf json = BUF_INIT(64);
    buf_addf(&json, "{\"grace_ms\":%d}", grace_ms);
    struct link_frame f = {
        .type = LINK_STOP, .kernel_id = *kernel_id, .n_parts = 1, .parts = { buf_slice(&json) }
    };
    sandbox_send(sandbox, &f);
}

void sessions_stop_unknown(struct sandbox *sandbox, struct slice hello)
{
    struct slice list, text, state;
    struct uuid id;
    struct json_iter it =
        json_iter(json_member(hello, "kernels", &list) ? list : slice_of(NULL, 0));
    while (json_next(&it)) {
        if (!json_member_string(it.value, "kernel_id", &text) || !uuid_parse(text, &id) ||
            !json_member_string(it.value, "state", &state) || slice_is(state, "dead"))
            continue;
        const struct session *s = zhashx_lookup(sandbox->hub->kernels, id.text);
        if (s && s->sandbox == sandbox)
            continue;
        log_info("kernel=%s has no session: ended", id.text);
        send_stop(sandbox, &id, 0);
    }
}

void session_close(struct session *s, const char *reason)
{
    char key[200];
    struct err why;
    if (s->removed)
        return;
    s->removed = true;
    if (s->retire_timer >= 0)
        loop_timer_end(s->hub->loop, s->retire_timer);
    bool runs = !s->is_command || s->running; /* a command that has ended has nothing to stop */
    end_work(s, reason);
    if (runs && s->kernel != KERNEL_NONE)
        send_stop(s->sandbox, &s->kernel_id, s->ephemeral ? 0 : STOP_GRACE_MS);
    if (uuid_is_set(&s->kernel_id))
        zhashx_delete(s->hub->kernels, s->kernel_id.text);
    session_save(s, hub_unix_us());
    feed_end(s->feed);
    fronts_end(s, reason);
    (void)snprintf(key, sizeof key, "%s/%s", s->user->id.text, s->name);
    zhashx_delete(s->hub->sessions, key);
    zhashx_delete(s->hub->jupyter_kernels, s->jupyter->kernel_id.text);
    if (!s->is_command)
        log_info("session closed name=%s reason=%s", log_quote(slice_str(s->name)),
                 log_quote(slice_str(reason)));
    (void)err_set(&why, ERR_GONE, "session '%s' is gone: %s", s->name, reason);
    wait_list_answer(s->waits, &why, slice_of(NULL, 0));
    /* a caller up the stack may still hold it */
    (void)loop_timer(s->hub->loop, 1, on_reap, s);
}

static int on_retire(struct loop *loop, int timer, void *arg)
{
    struct session *s = arg;
    s->retire_timer = -1;
    session_close(s, "its one execution has ended");
    return 0;
}

void session_retire(struct session *s)
{
    if (s->retire_timer < 0 && !s->removed)
        s->retire_timer = loop_timer(s->hub->loop, 1, on_retire, s);
}

int session_delete(struct hub *h, struct session *s, struct err *e)
{
    session_close(s, "the session was deleted");
    return 0;
}
