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
#include "kernelhub/execution_internal.h"
#include "kernelhub/record.h"
#include "kernelhub/wait.h"
#include "protocol/jupyter_message.h"

#define MAX_FIELDS_BYTES (LINK_MAX_FRAME_BYTES + (1u << 20))
#define GRACE_MS         2000

struct event_ticket {
    struct execution *x;
    struct store_mark mark;
};

unsigned execution_position(const struct execution *x)
{
    unsigned n = x->session && x->session->running && x->session->running != x;
    if (!x->session || x == x->session->running)
        return 0;
    for (struct execution *other = zlistx_first(x->session->queue); other && other != x;
         other = zlistx_next(x->session->queue))
        n++;
    return n;
}

void execution_row(const struct execution *x, struct execution_row *ret)
{
    *ret = (struct execution_row){
        .feed = feed_number(x->feed),
        .id = x->id,
        .user_id = x->user->id,
        .kernel_id = x->kernel_id,
        .sandbox_id = x->sandbox_id,
        .session = x->session_name,
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
        .dropped_bytes = x->output.dropped_bytes,
        .dropped_messages = x->output.dropped_messages,
    };
}

static void save(struct execution *x, struct store_mark mark, store_done_fn done, void *arg)
{
    struct execution_row row;
    CLEANUP_BUF struct buf reply = BUF_INIT(4096);
    execution_row(x, &row);
    if (x->reply.seen) {
        outcome_write_reply(&x->reply, &reply);
        row.reply = buf_slice(&reply);
    }
    store_update_execution(x->hub->store, &row, mark, done, arg);
}

static void on_event_committed(void *arg, uint64_t seq, struct slice line)
{
    struct event_ticket *t = arg;
    feed_add(t->x->feed, seq, line);
    sandbox_committed(t->x->hub, t->mark);
    free(t);
}

static void add_event(struct execution *x, enum event_type type, struct slice fields,
                      int64_t unix_us, struct store_mark mark, store_event_fn done)
{
    struct event_ticket *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    *t = (struct event_ticket){ x, mark };
    struct event_head head = { .unix_us = unix_us,
                               .execution_id = x->id,
                               .session = x->session_name,
                               .kernel_id = x->kernel_id,
                               .type = type };
    store_add_event(x->hub->store, feed_number(x->feed), &head, fields, mark, done, t);
}

void execution_add_event(struct execution *x, enum event_type type, struct slice fields,
                         int64_t unix_us, struct store_mark mark)
{
    add_event(x, type, fields, unix_us, mark, on_event_committed);
}

/* ---- sending ---- */

static void write_content(const struct execution *x, struct buf *out)
{
    buf_add_str(out, "{\"code\":");
    json_quote(out, slice_of(x->code, x->code_len));
    buf_addf(out,
             ",\"silent\":false,\"store_history\":true,\"user_expressions\":{},\"allow_stdin\":%s,"
             "\"stop_on_error\":false}",
             x->has_stdin ? "true" : "false");
}

static void write_metadata(const struct execution *x, struct buf *out)
{
    if (!x->env || !x->session->env_by_metadata) {
        buf_add_str(out, "{}");
        return;
    }
    buf_add_str(out, "{\"kernelhub\":{\"env\":");
    buf_add_str(out, x->env);
    buf_add_str(out, "}}");
}

/* A silent request around the run, for kernels whose environment only their own code can set. */
static void send_silent(struct execution *x, const char *before, const char *json,
                        const char *after)
{
    CLEANUP_BUF struct buf code = BUF_INIT(1 << 20), content = BUF_INIT(2 << 20),
                           header = BUF_INIT(1024);
    struct uuid id = uuid_new();
    buf_add_str(&code, before);
    buf_add_str(&code, json);
    buf_add_str(&code, after);
    buf_add_str(&content, "{\"code\":");
    json_quote(&content, buf_slice(&code));
    buf_add_str(&content, ",\"silent\":true,\"store_history\":false,\"user_expressions\":{},"
                          "\"allow_stdin\":false,\"stop_on_error\":false}");
    jupyter_write_header(&header, id.text, "execute_request", x->hub->session_id, hub_unix_us());
    struct link_frame f = { .type = LINK_MESSAGE,
                            .channel = LINK_SHELL,
                            .kernel_id = x->kernel_id,
                            .n_parts = 4,
                            .parts = { buf_slice(&header), SLICE_LITERAL("{}"), SLICE_LITERAL("{}"),
                                       buf_slice(&content) } };
    sandbox_send(x->session->sandbox, &f);
}

void execution_transmit(struct execution *x)
{
    CLEANUP_BUF struct buf options = BUF_INIT(256), header = BUF_INIT(1024),
                           metadata = BUF_INIT(2 << 20), content = BUF_INIT(MAX_FIELDS_BYTES);
    bool by_code = x->env && x->session->env_by_code;
    if (by_code)
        send_silent(x, "{const e=", x->env,
                    ",o={};for(const k in "
                    "e){o[k]=Deno.env.get(k);Deno.env.set(k,e[k]);}globalThis[Symbol.for('"
                    "kernelhub.env')]=o;}");
    buf_addf(&options, "{\"timeout_ms\":%lld,\"grace_ms\":%d}", (long long)x->timeout_ms, GRACE_MS);
    jupyter_write_header(&header, x->id.text, "execute_request", x->hub->session_id, hub_unix_us());
    write_metadata(x, &metadata);
    write_content(x, &content);
    struct link_frame f = { .type = LINK_EXECUTE,
                            .kernel_id = x->kernel_id,
                            .execution_id = x->id,
                            .n_parts = 5,
                            .parts = { buf_slice(&options), buf_slice(&header), SLICE_LITERAL("{}"),
                                       buf_slice(&metadata), buf_slice(&content) } };
    x->sent_mono_us = hub_mono_us();
    sandbox_send(x->session->sandbox, &f);
    if (by_code)
        send_silent(x,
                    "{const o=globalThis[Symbol.for('kernelhub.env')]??{};for(const k in "
                    "o){if(o[k]===undefined)Deno.env.delete(k);else Deno.env.set(k,o[k]);}}",
                    "", "");
    if (x->interrupt_asked) {
        struct link_frame i = { .type = LINK_INTERRUPT,
                                .kernel_id = x->kernel_id,
                                .execution_id = x->id };
        sandbox_send(x->session->sandbox, &i);
    }
}

static void on_sent_committed(void *arg)
{
    struct execution *x = arg;
    if (!status_is_end(x->status))
        execution_transmit(x);
}

static void leave_queue(struct execution *x)
{
    if (x->queue_handle)
        (void)zlistx_detach(x->session->queue, x->queue_handle);
    x->queue_handle = NULL;
    if (x->queue_timer >= 0)
        zloop_timer_end(x->hub->loop, x->queue_timer);
    x->queue_timer = -1;
}

bool execution_can_run(const struct execution *x)
{
    const struct session *s = x->session;
    return !s->removed && !s->running && s->kernel == KERNEL_READY &&
           s->sandbox->state == SANDBOX_UP && zlistx_first(s->queue) == x;
}

void execution_take_kernel(struct execution *x)
{
    struct session *s = x->session;
    leave_queue(x);
    s->running = x;
    x->status = STATUS_RUNNING;
    x->kernel_id = s->kernel_id;
    x->sandbox_id = s->sandbox->id;
    memcpy(x->epoch, s->sandbox->epoch, sizeof x->epoch);
}

void execution_send(struct execution *x)
{
    execution_take_kernel(x);
    save(x, (struct store_mark){ .number = 0 }, on_sent_committed, x);
}

/* ---- what comes back ---- */

static void say_started(struct execution *x, struct store_mark mark)
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

static void put_blob(void *arg, unsigned n, const char *media_type, struct slice text)
{
    struct execution *x = arg;
    store_add_blob(x->hub->store, feed_number(x->feed), n, media_type, text);
}

static void emit(struct execution *x, enum event_type type, struct slice fields, int64_t unix_us,
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

static void on_output(struct execution *x, struct sandbox *sandbox, const char *msg_type,
                      struct slice content)
{
    enum event_type type;
    CLEANUP_BUF struct buf fields = BUF_INIT(MAX_FIELDS_BYTES);
    if (!event_from_message(msg_type, content, &type, &fields))
        return;
    if (!x->started)
        say_started(x, NO_MARK);
    if (type == EVENT_ERROR)
        x->saw_error = true;
    int64_t now = hub_unix_us(), dropped = x->output.dropped_bytes;
    if (output_admit(&x->output, type, buf_slice(&fields), now))
        emit(x, type, buf_slice(&fields), now, sandbox_take_mark(sandbox));
    else if (dropped == 0 || x->output.dropped_bytes >> 20 != dropped >> 20)
        save(x, NO_MARK, NULL,
             NULL); /* so that a hub that comes after us can tell how much is missing */
}

static void answer_input(struct execution *x, const struct link_frame *request)
{
    CLEANUP_BUF struct buf header = BUF_INIT(1024), content = BUF_INIT(1 << 24);
    struct uuid id = uuid_new();
    const char *at = x->input ? x->input + x->input_at : NULL;
    size_t left = x->input ? x->input_len - x->input_at : 0;
    buf_add_str(&content, "{\"value\":");
    if (left == 0) {
        json_quote_str(&content, "\x04"); /* end of file, as Jupyter says it */
    } else {
        const char *newline = memchr(at, '\n', left);
        size_t n = newline ? (size_t)(newline - at) : left;
        json_quote(&content, slice_of(at, n));
        x->input_at += newline ? n + 1 : n;
    }
    buf_add_char(&content, '}');
    jupyter_write_header(&header, id.text, "input_reply", x->hub->session_id, hub_unix_us());
    struct link_frame f = { .type = LINK_MESSAGE,
                            .channel = LINK_STDIN,
                            .kernel_id = x->kernel_id,
                            .n_parts = 4,
                            .parts = { buf_slice(&header), request->parts[0], SLICE_LITERAL("{}"),
                                       buf_slice(&content) } };
    sandbox_send(x->session->sandbox, &f);
}

static void on_reply(struct execution *x, struct sandbox *sandbox, struct slice content)
{
    outcome_read_reply(content, &x->reply);
    if (x->reply.execution_count >= 0)
        x->execution_count = x->session->execution_count = x->reply.execution_count;
    struct store_mark mark = sandbox_take_mark(sandbox);
    save(x, mark, sandbox_mark_done, sandbox_mark_ticket(x->hub, mark));
}

void execution_on_message(struct execution *x, struct sandbox *sandbox, const struct link_frame *f,
                          const char *msg_type)
{
    struct slice content = f->parts[3];
    if (f->channel == LINK_STDIN) {
        if (strcmp(msg_type, "input_request") == 0 && x->has_stdin)
            answer_input(x, f);
    } else if (f->channel == LINK_SHELL) {
        if (strcmp(msg_type, "execute_reply") == 0)
            on_reply(x, sandbox, content);
    } else if (f->channel == LINK_IOPUB && strcmp(msg_type, "execute_input") == 0) {
        int64_t count;
        if (json_member_int(content, "execution_count", &count))
            x->execution_count = x->session->execution_count = count;
        if (!x->started)
            say_started(x, sandbox_take_mark(sandbox));
    } else if (f->channel == LINK_IOPUB) {
        on_output(x, sandbox, msg_type, content);
    }
}

void execution_on_gap(struct execution *x, struct sandbox *sandbox, const struct link_frame *f)
{
    struct slice json = f->n_parts ? f->parts[0] : slice_of(NULL, 0);
    CLEANUP_BUF struct buf fields = BUF_INIT(4096);
    if (!json_valid(json) || json_type(json) != JSON_OBJECT)
        return;
    int64_t bytes = 0, messages = 0;
    (void)json_member_int(json, "bytes", &bytes); /* a missing number is 0 */
    (void)json_member_int(json, "messages", &messages);
    char *reason = json_member_dup(json, "reason", 200);
    buf_addf(&fields, ",\"bytes\":%lld,\"messages\":%lld,\"reason\":", (long long)bytes,
             (long long)messages);
    json_quote_str(&fields, reason ? reason : "");
    free(reason);
    if (!x->started)
        say_started(x, NO_MARK);
    execution_add_event(x, EVENT_GAP, buf_slice(&fields), hub_unix_us(),
                        sandbox_take_mark(sandbox));
}

void execution_on_end(struct execution *x, struct sandbox *sandbox, const struct link_frame *f)
{
    struct outcome_end end;
    if (f->n_parts < 1 || !outcome_read_end(f->parts[0], &end))
        return;
    struct outcome outcome = outcome_of(&x->reply, &end, x->saw_error);
    struct session *s = x->session;
    bool one_run = s->ephemeral;
    execution_finish(x, outcome, &end, NULL, sandbox_take_mark(sandbox));
    if (one_run)
        session_close(s, "its one execution has ended");
    else
        session_pump(s);
}

/* ---- the end ---- */

static void add_number(struct buf *out, const char *name, int64_t n, bool known)
{
    if (known)
        buf_addf(out, ",\"%s\":%lld", name, (long long)n);
    else
        buf_addf(out, ",\"%s\":null", name);
}

static void add_usage(struct buf *out, const struct outcome_end *end)
{
    if (!end || end->cpu_us < 0) {
        buf_add_str(out, ",\"resource_usage\":null");
        return;
    }
    double percent =
        end->duration_us > 0 ? 100.0 * (double)end->cpu_us / (double)end->duration_us : 0;
    buf_addf(out, ",\"resource_usage\":{\"cpu_ms\":%lld,\"cpu_percent\":%.1f",
             (long long)(end->cpu_us / 1000), percent);
    add_number(out, "memory_bytes", end->memory_bytes, end->memory_bytes >= 0);
    add_number(out, "memory_peak_bytes", end->memory_peak_bytes, end->memory_peak_bytes >= 0);
    add_number(out, "pids", end->pids, end->pids >= 0);
    buf_add_char(out, '}');
}

static void add_exit(struct buf *out, const struct outcome_end *end)
{
    bool died = end && strcmp(end->how, "died") == 0;
    if (died && end->signal > 0)
        buf_addf(out, ",\"exit\":{\"signal\":%lld}", (long long)end->signal);
    else if (died && end->exit_code != OUTCOME_NO_CODE)
        buf_addf(out, ",\"exit\":{\"code\":%lld}", (long long)end->exit_code);
    else
        buf_add_str(out, ",\"exit\":null");
}

static void write_finished(const struct execution *x, const struct outcome *outcome,
                           const struct outcome_end *end, struct buf *out)
{
    int64_t now = hub_mono_us(), total = now - x->created_mono_us,
            kernel = end ? end->duration_us : 0;
    int64_t queued = x->sent_mono_us ? x->sent_mono_us - x->created_mono_us : total;
    buf_addf(out, ",\"status\":\"%s\"", status_name(outcome->status));
    add_number(out, "exit_code", outcome->exit_code, outcome->exit_code != OUTCOME_NO_CODE);
    add_exit(out, end);
    buf_addf(out,
             ",\"duration_ms\":%lld,\"timing\":{\"queued_us\":%lld,\"kernel_us\":%lld,\"total_us\":"
             "%lld}",
             (long long)((end ? kernel : total - queued) / 1000), (long long)queued,
             (long long)kernel, (long long)total);
    add_usage(out, end);
    add_number(out, "execution_count", x->execution_count, x->execution_count >= 0);
    buf_addf(out, ",\"truncated\":%s", output_has_gap(&x->output) ? "true" : "false");
    if (outcome->reason) {
        buf_add_str(out, ",\"reason\":");
        json_quote_str(out, outcome->reason);
    }
}

/* The tail that waited in the ring, behind the gap that says what is missing before it. */
static void emit_tail(struct execution *x)
{
    enum event_type type;
    char *fields;
    size_t len;
    int64_t unix_us;
    if (output_has_gap(&x->output)) {
        CLEANUP_BUF struct buf gap = BUF_INIT(512);
        output_write_gap(&x->output, &gap);
        execution_add_event(x, EVENT_GAP, buf_slice(&gap), hub_unix_us(), NO_MARK);
    }
    while (output_next(&x->output, &type, &fields, &len, &unix_us)) {
        emit(x, type, slice_of(fields, len), unix_us, NO_MARK);
        free(fields);
    }
}

void execution_record_now(struct execution *x, struct buf *out)
{
    struct execution_row row;
    struct record *r = record_new((size_t)x->max_output_bytes + (1u << 20));
    for (uint64_t seq = 1; seq <= feed_last_seq(x->feed); seq++)
        record_add(r, feed_line(x->feed, seq));
    execution_row(x, &row);
    record_write(r, &row, x->user->name, true, out);
    record_free(r);
}

static void on_record_read(void *arg, const struct err *e, struct slice json)
{
    wait_answer(arg, e, json);
}

static void answer_waits(struct execution *x)
{
    if (x->failure.code != ERR_NONE) {
        wait_list_answer(x->waits, &x->failure, slice_of(NULL, 0));
    } else if (zlistx_size(x->waits) == 0) {
        return;
    } else if (feed_is_whole(x->feed)) {
        CLEANUP_BUF struct buf json = BUF_INIT(MAX_FIELDS_BYTES * 2);
        execution_record_now(x, &json);
        wait_list_answer(x->waits, NULL, buf_slice(&json));
    } else {
        for (size_t n = zlistx_size(x->waits); n > 0; n--) {
            struct wait *w = zlistx_first(x->waits);
            wait_leave(w);
            wait_set_query(
                w, store_read_record(x->hub->store, &x->id, &x->user->id, on_record_read, w));
        }
    }
}

static void on_finished_committed(void *arg, uint64_t seq, struct slice line)
{
    struct event_ticket *t = arg;
    struct execution *x = t->x;
    feed_add(x->feed, seq, line);
    sandbox_committed(x->hub, t->mark);
    free(t);
    feed_end(x->feed);
    answer_waits(x);
    zhashx_delete(x->hub->executions, x->id.text);
    execution_free(x);
}

static void count(const struct execution *x, const struct outcome_end *end)
{
    metric_counter_add(x->hub->executions_total, status_name(x->status), x->language, 1);
    if (!end || !x->sent_mono_us)
        return;
    metric_histogram_observe(x->hub->execution_seconds, (double)end->duration_us / 1e6);
    metric_histogram_observe(x->hub->overhead_seconds,
                             (double)(hub_mono_us() - x->sent_mono_us - end->duration_us) / 1e6);
}

/* Out of its session, whatever it did there. */
void execution_leave_session(struct execution *x)
{
    if (!x->session)
        return;
    leave_queue(x);
    if (x->session->running == x)
        x->session->running = NULL;
    x->session->last_used_us = hub_unix_us();
    x->session = NULL;
}

/* Its insert may still turn out to be a repeat of another's id: submit.c ends it after the commit. */
static void finish_later(struct execution *x, const char *reason, const struct err *failure,
                         struct store_mark mark)
{
    execution_leave_session(x);
    x->status = STATUS_QUEUED;
    (void)err_set(&x->failure, failure ? failure->code : ERR_CONFLICT, "%s",
                  failure  ? failure->text
                  : reason ? reason
                           : "the kernel ended before it began");
    sandbox_committed(x->hub, mark);
}

void execution_finish(struct execution *x, struct outcome outcome, const struct outcome_end *end,
                      const struct err *failure, struct store_mark mark)
{
    CLEANUP_BUF struct buf fields = BUF_INIT(1 << 16);
    assert(!status_is_end(x->status));
    if (!x->inserted) {
        finish_later(x, outcome.reason, failure, mark);
        return;
    }
    execution_leave_session(x);
    x->finished_us = hub_unix_us();
    x->status = outcome.status;
    if (failure && !x->started) {
        x->failure = *failure;
        feed_fail(x->feed, failure);
    }
    emit_tail(x);
    write_finished(x, &outcome, end, &fields);
    x->result = buf_take(&fields);
    count(x, end);
    save(x, NO_MARK, NULL, NULL);
    add_event(x, EVENT_FINISHED, slice_str(x->result), x->finished_us, mark, on_finished_committed);
}

void execution_cancel_queued(struct execution *x, const char *reason, const struct err *failure)
{
    struct outcome outcome = { STATUS_CANCELLED, OUTCOME_NO_CODE, false, reason };
    execution_finish(x, outcome, NULL, failure, NO_MARK);
}

void execution_free(struct execution *x)
{
    wait_list_free(&x->waits);
    wait_cancel(x->accept);
    output_done(&x->output);
    feed_unref(x->feed);
    free(x->code);
    free(x->labels);
    free(x->env);
    free(x->input);
    free(x->result);
    free(x);
}
