/* What becomes of input(): answered from `stdin`, asked of the clients, or told that nobody is there.
 *
 *   RUNNING ──input_request──► WAITING_INPUT ──answer──► RUNNING
 *
 * The header of the request is in the row before the warden may forget the message, so that an answer reaches the
 * kernel also through a hub that came later. An answer is sent first and written down after: a hub that dies in
 * between leaves a request that can be answered once more, and a kernel throws away an answer it did not ask for. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "kernelhub/execution_internal.h"
#include "protocol/jupyter_message.h"

#define MAX_REPLY_BYTES  (16u << 20)
#define MAX_HEADER_BYTES (16u * 1024)
#define MAX_PROMPT_BYTES (64u * 1024)
#define ASK_OVERHEAD     256 /* so that a million empty prompts count for something */

static const struct store_mark NO_MARK;

void execution_reply_input(struct sandbox *sandbox, const struct uuid *kernel_id,
                           struct slice request_header, struct slice value)
{
    CLEANUP_BUF struct buf header = BUF_INIT(1024), content = BUF_INIT(6 * MAX_REPLY_BYTES);
    struct uuid id = uuid_new();
    buf_add_str(&content, "{\"value\":");
    json_quote(&content, value);
    buf_add_char(&content, '}');
    jupyter_write_header(&header, id.text, "input_reply", sandbox->hub->session_id, hub_unix_us());
    struct link_frame f = { .type = LINK_MESSAGE,
                            .channel = LINK_STDIN,
                            .kernel_id = *kernel_id,
                            .n_parts = 4,
                            .parts = { buf_slice(&header), request_header, SLICE_LITERAL("{}"),
                                       buf_slice(&content) } };
    sandbox_send(sandbox, &f);
}

/* The next line of stdin, or the end of file. */
static struct slice next_line(struct execution *x)
{
    const char *at = x->input ? x->input + x->input_at : NULL;
    size_t left = x->input ? x->input_len - x->input_at : 0;
    if (left == 0)
        return EXECUTION_END_OF_FILE;
    const char *newline = memchr(at, '\n', left);
    size_t n = newline ? (size_t)(newline - at) : left;
    x->input_at += newline ? n + 1 : n;
    return slice_of(at, n);
}

static void save(struct execution *x, struct sandbox *sandbox)
{
    struct store_mark mark = sandbox_take_mark(sandbox);
    execution_save(x, mark, sandbox_mark_done, sandbox_mark_ticket(x->hub, mark));
}

static void say_gap(struct execution *x, size_t bytes, const char *reason, struct store_mark mark)
{
    CLEANUP_BUF struct buf fields = BUF_INIT(512);
    buf_addf(&fields, ",\"bytes\":%zu,\"messages\":1,\"reason\":\"%s\"", bytes, reason);
    execution_add_event(x, EVENT_GAP, buf_slice(&fields), hub_unix_us(), mark);
}

/* Prompts are output too: an endless row of them ends where the output's limit is. */
static bool may_ask(struct execution *x, const struct link_frame *f, size_t prompt_bytes)
{
    if (!x->interactive || f->parts[0].len > MAX_HEADER_BYTES)
        return false;
    x->asked_bytes += (int64_t)prompt_bytes + ASK_OVERHEAD;
    return x->asked_bytes <= x->max_output_bytes;
}

static void ask(struct execution *x, struct sandbox *sandbox, const struct link_frame *f,
                struct slice fields)
{
    execution_flush_output(x);
    free(x->asked);
    x->asked = strndup(f->parts[0].data, f->parts[0].len);
    x->status = STATUS_WAITING_INPUT;
    execution_save(x, NO_MARK, NULL, NULL); /* in the event's commit, or before it */
    if (fields.len > MAX_PROMPT_BYTES) {
        say_gap(x, fields.len, "a prompt over 65536 bytes", NO_MARK);
        fields = SLICE_LITERAL(",\"prompt\":\"\",\"password\":false");
    }
    execution_add_event(x, EVENT_INPUT_REQUEST, fields, hub_unix_us(), sandbox_take_mark(sandbox));
}

void execution_on_input_request(struct execution *x, struct sandbox *sandbox,
                                const struct link_frame *f)
{
    enum event_type type;
    CLEANUP_BUF struct buf fields = BUF_INIT(LINK_MAX_FRAME_BYTES);
    bool makes_sense = event_from_message("input_request", f->parts[3], &type, &fields) &&
                       type == EVENT_INPUT_REQUEST;
    if (!x->started)
        execution_say_started(x, NO_MARK);
    if (makes_sense && may_ask(x, f, fields.len)) {
        ask(x, sandbox, f, buf_slice(&fields));
        return;
    }
    /* from stdin, or the end of file for a kernel that asks although it was told that nobody is there */
    execution_reply_input(sandbox, &x->kernel_id, f->parts[0], next_line(x));
    save(x, sandbox);
}

void execution_answer_input(struct execution *x, struct slice value)
{
    execution_reply_input(x->session->sandbox, &x->kernel_id, slice_str(x->asked), value);
    free(TAKE(x->asked));
    x->status = STATUS_RUNNING;
    execution_save(x, NO_MARK, NULL, NULL);
}

void execution_write_input(const struct execution *x, struct buf *out)
{
    if (!x->asked_bytes && !x->input_at)
        return;
    buf_addf(out, "{\"at\":%zu,\"asked_bytes\":%lld,\"gap\":%s,\"asked\":", x->input_at,
             (long long)x->asked_bytes, x->output.said_gap ? "true" : "false");
    json_quote_str(out, x->asked);
    buf_add_char(out, '}');
}

void execution_read_input(struct execution *x, struct slice json)
{
    int64_t at = 0;
    if (json.len == 0)
        return;
    (void)json_member_int(json, "at", &at); /* what is missing keeps its default */
    (void)json_member_int(json, "asked_bytes", &x->asked_bytes);
    (void)json_member_bool(json, "gap", &x->output.said_gap);
    if (at > 0 && (size_t)at <= x->input_len)
        x->input_at = (size_t)at;
    x->asked = json_member_dup(json, "asked", 2 * MAX_HEADER_BYTES);
}
