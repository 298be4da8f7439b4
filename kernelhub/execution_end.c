/* How an execution ends: its last events, one `finished`, and those who waited for it. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "kernelhub/callback_internal.h"
#include "kernelhub/execution_internal.h"
#include "kernelhub/jupyter_internal.h"
#include "kernelhub/quota.h"
#include "kernelhub/record.h"
#include "kernelhub/wait.h"

#define MAX_RECORD_BYTES (256u << 20)

static const struct store_mark NO_MARK;

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

struct outcome execution_outcome(const struct execution *x, const struct outcome_end *end)
{
    return x->command ? outcome_of_command(end) : outcome_of(&x->reply, end, x->saw_error);
}

/* A command's process has an end in any case; a kernel's only when it died. */
static void add_exit(struct buf *out, const struct outcome_end *end, bool is_command)
{
    bool died = end && (is_command || strcmp(end->how, "died") == 0);
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
    add_exit(out, end, x->command != NULL);
    buf_addf(out,
             ",\"duration_ms\":%lld,\"timing\":{\"queued_us\":%lld,\"kernel_us\":%lld,\"total_us\":"
             "%lld}",
             (long long)((kernel ? kernel : total - queued) / 1000), (long long)queued,
             (long long)kernel, (long long)total);
    add_usage(out, end);
    add_number(out, "execution_count", x->execution_count, x->execution_count >= 0);
    buf_addf(out, ",\"truncated\":%s", x->output.said_gap ? "true" : "false");
    if (outcome->reason) {
        buf_add_str(out, ",\"reason\":");
        json_quote_str(out, outcome->reason);
    }
}

void execution_flush_output(struct execution *x)
{
    enum event_type type;
    char *fields;
    size_t len;
    int64_t unix_us;
    if (output_has_gap(&x->output)) {
        CLEANUP_BUF struct buf gap = BUF_INIT(512);
        output_write_gap(&x->output, &gap);
        output_gap_said(&x->output);
        execution_add_event(x, EVENT_GAP, buf_slice(&gap), hub_unix_us(), NO_MARK);
    }
    while (output_next(&x->output, &type, &fields, &len, &unix_us)) {
        execution_emit(x, type, slice_of(fields, len), unix_us, NO_MARK);
        free(fields);
    }
}

void execution_record_now(struct execution *x, struct buf *out)
{
    struct execution_row row;
    struct record *r = record_new((size_t)x->max_output_bytes + (1u << 20));
    for (uint64_t seq = 1; seq <= feed_last_seq(x->feed); seq++) {
        struct feed_line *line = feed_line_hold(x->feed, seq);
        record_add(r, feed_line_text(line));
        feed_line_drop(line);
    }
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
        CLEANUP_BUF struct buf json = BUF_INIT(MAX_RECORD_BYTES);
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
    struct execution_ticket *t = arg;
    struct execution *x = t->x;
    feed_add(x->feed, seq, line);
    sandbox_committed(x->hub, t->mark);
    free(t);
    feed_end(x->feed);
    answer_waits(x);
    callback_execution_ended(x->hub, feed_number(x->feed));
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
    execution_leave_queue(x);
    if (x->session->running == x)
        x->session->running = NULL;
    x->session->last_used_us = hub_unix_us();
    if (x->session->sandbox) {
        sandbox_use(x->session->sandbox, x->session->last_used_us, SANDBOX_RAN);
        sandbox_cell_ended(x->session->sandbox);
    }
    if (x->session->ephemeral)
        session_retire(x->session);
    x->session = NULL;
}

/* Its insert may still turn out to be a repeat of another's id: submit.c ends it after the commit. */
static void finish_later(struct execution *x, const char *reason, const struct err *failure,
                         struct store_mark mark)
{
    if (x->session)
        fronts_execution_ended(x->session, x, STATUS_CANCELLED, failure ? failure->text : reason);
    execution_leave_session(x);
    x->status = STATUS_QUEUED;
    (void)err_set(&x->failure, failure ? failure->code : ERR_CONFLICT, "%s",
                  failure  ? failure->text
                  : reason ? reason
                           : "the kernel ended before it began");
    sandbox_committed(x->hub, mark);
}

/* Why it was stopped, whatever the kernel made of that. */
static void take_stop(struct execution *x, struct outcome *outcome)
{
    quota_on_end(x->hub->quota, x);
    if (outcome->status == STATUS_OK)
        return; /* it was done, or took no notice */
    if (x->is_killed) {
        char *why = x->stopped_why;
        if (asprintf(&x->stopped_why, "%s, and its kernel was killed: its state is lost", why) < 0)
            abort();
        free(why);
    }
    outcome->reason = x->stopped_why;
}

static void say_error(struct execution *x, enum status status)
{
    CLEANUP_BUF struct buf fields = BUF_INIT(8192);
    if (status == STATUS_OK)
        return;
    buf_add_str(&fields, ",\"name\":\"QuotaExceeded\",\"value\":");
    json_quote_str(&fields, x->stopped_why);
    buf_add_str(&fields, ",\"traceback\":[]");
    execution_add_event(x, EVENT_ERROR, buf_slice(&fields), x->finished_us, NO_MARK);
}

static void tell_changes(const struct execution *x, struct slice files_changed)
{
    const struct hub *h = x->hub;
    struct json_iter it = json_iter_members(files_changed);
    while (h->files_changed && json_next(&it))
        if (slice_is(it.key, "items"))
            h->files_changed(h->files_changed_arg, x->user, &x->sandbox_id, it.value);
}

/* Until its end has been given to the store nothing else is sent in its session: a hub that comes after us could not tell two that
 * run there apart. */
static void hold_session(struct execution *x, struct session *s)
{
    if (!s || s->ending)
        return;
    s->ending = x;
    x->left = s;
}

static void let_session_go(struct execution *x)
{
    if (x->left)
        TAKE(x->left)->ending = NULL;
}

/* A row that says it has ended is not looked at again by the hub that comes after us: all of this is one commit. */
void execution_commit_end(struct execution *x, struct slice files_changed)
{
    let_session_go(x);
    store_hold(x->hub->store);
    if (files_changed.len)
        execution_add_event(x, EVENT_FILES_CHANGED, files_changed, x->finished_us, NO_MARK);
    execution_save_end(x);
    execution_add_event_then(x, EVENT_FINISHED, slice_str(x->result), x->finished_us, x->end_mark,
                             on_finished_committed);
    store_release(x->hub->store);
    tell_changes(x, files_changed);
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
    store_hold(x->hub->store);
    if (x->session)
        fronts_execution_ended(x->session, x, outcome.status, outcome.reason);
    hold_session(x, x->session);
    execution_leave_session(x);
    x->finished_us = hub_unix_us();
    x->status = outcome.status;
    if (x->stopped_why)
        take_stop(x, &outcome);
    if (failure && !x->started) {
        x->failure = *failure;
        feed_fail(x->feed, failure);
    }
    execution_flush_output(x);
    if (x->stopped_why)
        say_error(x, outcome.status);
    write_finished(x, &outcome, end, &fields);
    x->result = buf_take(&fields);
    count(x, end);
    x->end_mark = mark;
    execution_end_changes(x);
    store_release(x->hub->store);
}

void execution_cancel_queued(struct execution *x, const char *reason, const struct err *failure)
{
    struct outcome outcome = { STATUS_CANCELLED, OUTCOME_NO_CODE, reason };
    execution_finish(x, outcome, NULL, failure, NO_MARK);
}

void execution_free(struct execution *x)
{
    x->user->held_bytes -= x->held_bytes;
    let_session_go(x);
    wait_list_free(&x->waits);
    wait_cancel(x->accept);
    callback_drop(x->callback);
    output_done(&x->output);
    feed_unref(x->feed);
    free(x->code);
    free(x->command);
    free(x->as_sent);
    free(x->labels);
    free(x->env);
    free(x->input);
    free(x->asked);
    free(x->result);
    free(x->stopped_why);
    free(x);
}
