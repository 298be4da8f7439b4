/* The life of an execution:
 *
 *   (accepted, insert not yet committed) → QUEUED → sent (commit, then the wire) → RUNNING → ended
 *                                            │ cancel, queue timeout, kernel died      ▲
 *                                            └─────────────────────────────────────────┘
 *
 * It is in hub->executions until its end is committed; then the store alone has it. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "kernelhub/command.h"
#include "kernelhub/execution_internal.h"
#include "kernelhub/jupyter_internal.h"
#include "kernelhub/record.h"
#include "kernelhub/wait.h"
#include "protocol/jupyter_message.h"

#define MAX_FIELDS_BYTES (LINK_MAX_FRAME_BYTES + (1u << 20))
#define MAX_SENT_BYTES   (LINK_MAX_FRAME_BYTES - 4096)
#define GRACE_MS         2000

void execution_row(const struct execution *x, struct execution_row *ret)
{
    *ret = (struct execution_row){
        .feed = feed_number(x->feed),
        .id = x->id,
        .user_id = x->user->id,
        .kernel_id = x->kernel_id,
        .sandbox_id = x->sandbox_id,
        .replay_of = x->replay_of,
        .session = x->session_name[0] ? x->session_name : NULL,
        .session_feed = x->session_feed,
        .language = x->language,
        .client = x->client,
        .code = slice_of(x->code, x->code_len),
        .labels = slice_str(x->labels),
        .status = x->status,
        .epoch = x->epoch[0] ? x->epoch : NULL,
        .created_us = x->created_us,
        .started_us = x->started_us,
        .finished_us = x->finished_us,
        .execution_count = x->execution_count,
        .result = slice_str(x->result),
        /* what the ring holds is nowhere else: a hub that comes after us has lost it */
        .dropped_bytes = x->output.dropped_bytes + x->output.tail_bytes,
        .dropped_messages = x->output.dropped_messages + x->output.tail_messages,
    };
}

static void save(struct execution *x, struct store_mark mark, bool late, store_done_fn done,
                 void *arg)
{
    struct execution_row row;
    CLEANUP_BUF struct buf reply = BUF_INIT(4096), input = BUF_INIT(1 << 18);
    execution_row(x, &row);
    execution_write_input(x, &input);
    row.input = buf_slice(&input);
    if (x->reply.seen) {
        outcome_write_reply(&x->reply, &reply);
        row.reply = buf_slice(&reply);
    }
    store_update_execution(x->hub->store, &row, mark, late, done, arg);
}

void execution_save(struct execution *x, struct store_mark mark, store_done_fn done, void *arg)
{
    save(x, mark, false, done, arg);
}

static void on_event_committed(void *arg, uint64_t seq, struct slice line)
{
    struct execution_ticket *t = arg;
    feed_add(t->x->feed, seq, line);
    sandbox_committed(t->x->hub, t->mark);
    free(t);
}

void execution_add_event_then(struct execution *x, enum event_type type, struct slice fields,
                              int64_t unix_us, struct store_mark mark, store_event_fn done)
{
    struct execution_ticket *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    *t = (struct execution_ticket){ x, mark };
    struct event_head head = { .unix_us = unix_us,
                               .execution_id = x->id,
                               .session = x->session_name[0] ? x->session_name : NULL,
                               .kernel_id = x->kernel_id,
                               .type = type };
    bool late = type != EVENT_FINISHED && !feed_is_watched(x->feed);
    store_add_event(x->hub->store, feed_number(x->feed), &head, fields, mark, late, done, t);
}

void execution_add_event(struct execution *x, enum event_type type, struct slice fields,
                         int64_t unix_us, struct store_mark mark)
{
    execution_add_event_then(x, type, fields, unix_us, mark, on_event_committed);
}

/* ---- sending ---- */

/* A member of what a Jupyter client sent. */
static struct slice sent_part(const struct execution *x, const char *name)
{
    struct slice part = SLICE_LITERAL("{}");
    (void)json_member(slice_str(x->as_sent), name, &part); /* front.c wrote them all */
    return part;
}

/* What of the rest of a queue is stopped by an error the hub says itself (fronts_stop_on_error): a kernel would stop others' too. */
static void write_sent_content(const struct execution *x, struct buf *out)
{
    struct json_iter it = json_iter(sent_part(x, "content"));
    while (json_next(&it)) {
        buf_add_str(out, ",\"");
        buf_add_slice(out, it.key);
        buf_add_str(out, "\":");
        buf_add_slice(out, it.value);
    }
    buf_add_str(out, ",\"stop_on_error\":false}");
}

static void write_content(const struct execution *x, struct buf *out)
{
    buf_add_str(out, "{\"code\":");
    json_quote(out, slice_of(x->code, x->code_len));
    if (x->as_sent) {
        write_sent_content(x, out);
        return;
    }
    buf_addf(out,
             ",\"silent\":false,\"store_history\":true,\"user_expressions\":{},\"allow_stdin\":%s,"
             "\"stop_on_error\":false}",
             x->has_stdin || x->interactive ? "true" : "false");
}

static void write_metadata(const struct execution *x, struct buf *out)
{
    bool env = x->env && x->session->env_by_metadata;
    bool input = x->has_stdin && x->session->stdin_by_metadata;
    if (!env && !input) {
        buf_add_str(out, "{}");
        return;
    }
    buf_addf(out, "{\"kernelhub\":{\"env\":%s", env ? x->env : "{}");
    if (input) {
        buf_add_str(out, ",\"stdin\":");
        json_quote(out, slice_of(x->input, x->input_len));
    }
    buf_add_str(out, "}}");
}

/* Quoted it may be six times as long as it was when it was accepted. */
static void refuse_to_send(struct execution *x)
{
    struct session *s = x->session;
    struct err why;
    (void)err_set(&why, ERR_TOO_LARGE, "the code and what goes with it is too large to be sent");
    execution_cancel_queued(x, "it is too large to be sent", &why);
    session_pump(s);
}

/* False: it was too large, and has ended. */
static bool send_code(struct execution *x)
{
    CLEANUP_BUF struct buf options = BUF_INIT(256), header = BUF_INIT(16u << 20),
                           metadata = BUF_INIT(32u << 20), content = BUF_INIT(MAX_FIELDS_BYTES);
    buf_addf(&options, "{\"timeout_ms\":%lld,\"grace_ms\":%d}", (long long)x->timeout_ms, GRACE_MS);
    struct slice parent = SLICE_LITERAL("{}");
    if (x->as_sent) {
        buf_add_slice(&header, sent_part(x, "header"));
        buf_add_slice(&metadata, sent_part(x, "metadata"));
        parent = sent_part(x, "parent");
    } else {
        jupyter_write_header(&header, x->id.text, "execute_request", x->hub->session_id,
                             hub_unix_us());
        write_metadata(x, &metadata);
    }
    write_content(x, &content);
    size_t n = header.len + parent.len + metadata.len + content.len;
    if (header.failed || metadata.failed || content.failed || n > MAX_SENT_BYTES) {
        refuse_to_send(x);
        return false;
    }
    struct link_frame f = { .type = LINK_EXECUTE,
                            .kernel_id = x->kernel_id,
                            .execution_id = x->id,
                            .n_parts = 5,
                            .parts = { buf_slice(&options), buf_slice(&header), parent,
                                       buf_slice(&metadata), buf_slice(&content) } };
    sandbox_send(x->session->sandbox, &f);
    return true;
}

void execution_transmit(struct execution *x)
{
    x->sent_mono_us = hub_mono_us();
    execution_watch_changes(x, NULL);
    if (x->command)
        command_transmit(x);
    else if (!send_code(x))
        return;
    x->interrupt_sent = false;
    if (x->interrupt_asked && x->session)
        execution_send_interrupt(x);
}

void execution_send_interrupt(struct execution *x)
{
    x->interrupt_asked = true;
    if (!x->sent_mono_us || x->session->sandbox->state != SANDBOX_UP)
        return; /* it goes with the code, or when the sandbox is reached again */
    struct link_frame f = { .type = LINK_INTERRUPT,
                            .kernel_id = x->kernel_id,
                            .execution_id = x->id };
    x->interrupt_sent = true;
    sandbox_send(x->session->sandbox, &f);
}

static void on_sent_committed(void *arg)
{
    struct execution *x = arg;
    if (!status_is_end(x->status))
        execution_transmit(x);
}

bool execution_can_run(const struct execution *x)
{
    const struct session *s = x->session;
    return !s->removed && !s->dying && !s->running && s->kernel == KERNEL_READY &&
           s->sandbox->state == SANDBOX_UP && !s->sandbox->held && zlistx_first(s->queue) == x;
}

void execution_take_kernel(struct execution *x)
{
    struct session *s = x->session;
    execution_leave_queue(x);
    s->running = x;
    s->late_bytes = 0;
    x->status = STATUS_RUNNING;
    x->kernel_id = s->kernel_id;
    x->sandbox_id = s->sandbox->id;
    memcpy(x->epoch, s->sandbox->epoch, sizeof x->epoch);
}

void execution_send(struct execution *x)
{
    execution_take_kernel(x);
    execution_save(x, (struct store_mark){ .number = 0 }, on_sent_committed, x);
}

/* ---- what comes back ---- */

void execution_say_started(struct execution *x, struct store_mark mark)
{
    CLEANUP_BUF struct buf fields = BUF_INIT(MAX_FIELDS_BYTES);
    x->started = true;
    x->started_us = hub_unix_us();
    buf_add_str(&fields, ",\"code\":");
    json_quote(&fields, slice_of(x->code, x->code_len));
    buf_add_str(&fields, ",\"language\":");
    json_quote_str(&fields, x->language);
    if (x->execution_count >= 0)
        buf_addf(&fields, ",\"execution_count\":%lld", (long long)x->execution_count);
    else
        buf_add_str(&fields, ",\"execution_count\":null");
    buf_add_str(&fields, ",\"user\":");
    json_quote_str(&fields, x->user->name);
    buf_add_str(&fields, ",\"client\":");
    json_quote_str(&fields, x->client);
    execution_add_event(x, EVENT_STARTED, buf_slice(&fields), x->started_us, mark);
}

static const struct store_mark NO_MARK;

static void put_blob(void *arg, unsigned n, const char *media_type, struct buf *text)
{
    struct execution *x = arg;
    store_add_blob(x->hub->store, feed_number(x->feed), n, media_type, text);
}

void execution_emit(struct execution *x, enum event_type type, struct slice fields, int64_t unix_us,
                    struct store_mark mark)
{
    CLEANUP_BUF struct buf small = BUF_INIT(MAX_FIELDS_BYTES);
    bool bundle = type == EVENT_DISPLAY || type == EVENT_RESULT;
    if (bundle && fields.len > OUTPUT_INLINE_BYTES) {
        output_put_aside(&x->output, &x->id, fields, &small, put_blob, x);
        fields = buf_slice(&small);
    }
    execution_add_event(x, type, fields, unix_us, mark);
}

static void save_gap(struct execution *x);

static void on_gap_saved(void *arg)
{
    struct execution_ticket *t = arg;
    struct execution *x = t->x;
    x->saving_gap = false;
    if (x->gap_grew && !status_is_end(x->status))
        save_gap(
            x); /* before the mark of this one is given back: what came since is not acknowledged by it */
    sandbox_committed(x->hub, t->mark);
    free(t);
}

/* What goes into the ring is told to the store before the warden may forget it: so that a hub that comes
 * after us says in a gap what is missing. One write at a time, however fast the output comes. */
static void save_gap(struct execution *x)
{
    if (x->saving_gap) {
        x->gap_grew = true;
        return;
    }
    struct execution_ticket *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    *t = (struct execution_ticket){ x, sandbox_take_mark(x->session->sandbox) };
    x->saving_gap = true;
    x->gap_grew = false;
    execution_save(x, t->mark, on_gap_saved, t);
}

static void on_output(struct execution *x, struct sandbox *sandbox, const char *msg_type,
                      struct slice content)
{
    enum event_type type;
    CLEANUP_BUF struct buf fields = BUF_INIT(MAX_FIELDS_BYTES), head = BUF_INIT(MAX_FIELDS_BYTES);
    if (!event_from_message(msg_type, content, &type, &fields))
        return;
    if (!x->started)
        execution_say_started(x, NO_MARK);
    if (strcmp(msg_type, "error") == 0) /* even if it became a gap */
        x->saw_error = true;
    if (type == EVENT_GAP)
        x->output.said_gap = true;
    int64_t now = hub_unix_us();
    switch (output_admit(&x->output, type, buf_slice(&fields), now, &head)) {
    case OUTPUT_ON:
        execution_emit(x, type, buf_slice(&fields), now, sandbox_take_mark(sandbox));
        return;
    case OUTPUT_CUT:
        execution_save(x, NO_MARK, NULL, NULL); /* in the event's commit, or before it */
        execution_emit(x, type, buf_slice(&head), now, sandbox_take_mark(sandbox));
        return;
    case OUTPUT_KEPT:
        save_gap(x);
        return;
    }
}

static void on_reply(struct execution *x, struct sandbox *sandbox, struct slice content)
{
    outcome_read_reply(content, &x->reply);
    if (x->reply.execution_count >= 0)
        x->execution_count = x->session->execution_count = x->reply.execution_count;
    struct store_mark mark = sandbox_take_mark(sandbox);
    save(x, mark, true, sandbox_mark_done, sandbox_mark_ticket(x->hub, mark));
}

void execution_on_message(struct execution *x, struct sandbox *sandbox, const struct link_frame *f,
                          const char *msg_type)
{
    struct slice content = f->parts[3];
    if (f->channel == LINK_STDIN) {
        if (strcmp(msg_type, "input_request") == 0)
            execution_on_input_request(x, sandbox, f);
    } else if (f->channel == LINK_SHELL) {
        if (strcmp(msg_type, "execute_reply") == 0)
            on_reply(x, sandbox, content);
    } else if (f->channel == LINK_IOPUB && strcmp(msg_type, "execute_input") == 0) {
        int64_t count;
        if (json_member_int(content, "execution_count", &count))
            x->execution_count = x->session->execution_count = count;
        if (!x->started)
            execution_say_started(x, sandbox_take_mark(sandbox));
    } else if (f->channel == LINK_IOPUB) {
        on_output(x, sandbox, msg_type, content);
    }
}

void execution_on_gap(struct execution *x, struct sandbox *sandbox, const struct link_frame *f)
{
    struct slice json = f->n_parts ? f->parts[0] : slice_of(NULL, 0);
    CLEANUP_BUF struct buf fields = BUF_INIT(4096);
    if (!json_valid(json) || json_type(json) != JSON_OBJECT) {
        sandbox_cut_off(sandbox, "a gap does not say what is missing");
        return;
    }
    int64_t bytes = 0, messages = 0;
    (void)json_member_int(json, "bytes", &bytes); /* a missing number is 0 */
    (void)json_member_int(json, "messages", &messages);
    char *reason = json_member_dup(json, "reason", 200);
    buf_addf(&fields, ",\"bytes\":%lld,\"messages\":%lld,\"reason\":", (long long)bytes,
             (long long)messages);
    json_quote_str(&fields, reason ? reason : "");
    free(reason);
    if (!x->started)
        execution_say_started(x, NO_MARK);
    execution_add_event(x, EVENT_GAP, buf_slice(&fields), hub_unix_us(),
                        sandbox_take_mark(sandbox));
}

void execution_on_end(struct execution *x, struct sandbox *sandbox, const struct link_frame *f)
{
    struct outcome_end end;
    if (f->n_parts < 1 || !outcome_read_end(f->parts[0], &end)) {
        sandbox_cut_off(sandbox, "an end does not say how");
        return;
    }
    struct outcome outcome = execution_outcome(x, &end);
    struct session *s = x->session;
    char client[sizeof x->client_session] = "";
    if (x->as_sent && x->stop_on_error && outcome.status != STATUS_OK)
        memcpy(client, x->client_session, sizeof client);
    bool one_run = s->ephemeral,
         dying = strcmp(end.how, "died") == 0 || strcmp(end.how, "killed") == 0;
    execution_finish(x, outcome, &end, NULL, sandbox_take_mark(sandbox));
    if (client[0])
        fronts_stop_on_error(s, client);
    if (one_run)
        session_close(s, "its one execution has ended");
    else if (dying)
        session_kernel_is_dying(s);
    else
        session_pump(s);
    execution_tell_positions(s);
}
