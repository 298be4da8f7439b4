/* One item at a time is with the hub:
 *
 *     pump ─► submit ─► on_accepted ─► on_record (its end) ─► pump … ─► finish
 *
 * A stream follows the accepted executions at its reader's speed; the batch does not wait for it. */
#include "web/batch.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/json.h"
#include "kernelhub/follower.h"
#include "protocol/event_record.h"
#include "web/execute_body.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/stop.h"
#include "web/stream.h"

#define MAX_ITEMS         100
#define MAX_OF_A_USER     8                   /* under way at the same time */
#define MAX_RECORDS_BYTES (32u * 1024 * 1024) /* then records come without their outputs */
#define MAX_REPLY_BYTES   (256u * 1024 * 1024)

struct item {
    struct uuid id; /* none: it was not accepted */
    bool is_accepted, interrupt_on_disconnect;
};

struct batch {
    struct site *site;
    struct user *user;
    struct request *request; /* NULL: the client has gone */
    struct stream *stream;   /* the request's; NULL: one JSON reply */
    void *place;             /* in site->batches */

    struct fields fields;
    struct slice executions; /* in fields */
    bool stop_on_error;
    struct json_iter rest; /* of executions */
    struct item items[MAX_ITEMS];
    size_t n_items, n_begun, n_followed;
    bool is_busy;    /* an item is with the hub */
    bool is_pumping; /* an answer that comes at once must not call pump again */
    bool is_stopped;
    struct wait *wait; /* without a request; else the request keeps it */
    struct buf out;    /* the records so far, with commas */
    char status[24];   /* of the first item that was not ok; else "ok" */
    long stopped_at;   /* -1: not stopped */
};

static void batch_free(struct batch *b)
{
    wait_cancel(b->wait);
    if (b->place)
        (void)zlistx_delete(b->site->batches, b->place); /* it is in there */
    fields_done(&b->fields);
    buf_done(&b->out);
    free(b);
}

/* ---- what is said of an item ---- */

static bool is_output(struct slice name)
{
    return slice_is(name, "stdout") || slice_is(name, "stderr") || slice_is(name, "results");
}

/* The record without its outputs: they are in the history. */
static void add_brief(struct buf *out, struct slice record)
{
    struct json_iter it = json_iter(record);
    char before = '{';
    while (json_next(&it)) {
        buf_add_char(out, before);
        before = ',';
        buf_add_char(out, '"');
        buf_add_slice(out, it.key);
        buf_add_str(out, "\":");
        if (is_output(it.key))
            buf_add_str(out, slice_is(it.key, "results") ? "[]" : "\"\"");
        else if (slice_is(it.key, "truncated"))
            buf_add_str(out, "true");
        else
            buf_add_slice(out, it.value);
    }
    buf_add_char(out, '}');
}

/* A stream has said all but how it ended. */
static void add_status(struct buf *out, const struct item *item, struct slice record)
{
    struct slice value;
    buf_addf(out, "{\"execution_id\":\"%s\"", item->id.text);
    static const char *const NAMES[] = { "session", "language", "status", "exit_code", "reason" };
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        if (!json_member(record, NAMES[i], &value))
            continue;
        buf_addf(out, ",\"%s\":", NAMES[i]);
        buf_add_slice(out, value);
    }
    buf_add_char(out, '}');
}

static void comma(struct batch *b)
{
    if (b->out.len)
        buf_add_char(&b->out, ',');
}

static void add_record(struct batch *b, const struct item *item, struct slice record)
{
    comma(b);
    if (b->stream)
        add_status(&b->out, item, record);
    else if (b->out.len + record.len > MAX_RECORDS_BYTES)
        add_brief(&b->out, record);
    else
        buf_add_slice(&b->out, record);
}

static void add_unrun(struct batch *b, const struct item *item, const char *reason,
                      const struct err *refused)
{
    comma(b);
    buf_add_str(&b->out, "{\"execution_id\":");
    json_quote_str(&b->out, item && item->is_accepted ? item->id.text : NULL);
    buf_addf(&b->out, ",\"status\":\"%s\",\"reason\":", status_name(STATUS_CANCELLED));
    json_quote_str(&b->out, reason);
    if (refused) {
        buf_addf(&b->out, ",\"refused\":{\"code\":\"%s\",\"message\":", err_name(refused->code));
        json_quote_str(&b->out, refused->text);
        buf_add_char(&b->out, '}');
    }
    buf_add_char(&b->out, '}');
}

/* ---- the end ---- */

static void add_rest(struct batch *b)
{
    char reason[96];
    (void)snprintf(reason, sizeof reason, "not run: executions[%ld] ended with status '%s'",
                   b->stopped_at, b->status);
    for (size_t i = b->n_begun; i < b->n_items; i++)
        add_unrun(b, NULL, reason, NULL);
}

static void finish(struct batch *b)
{
    CLEANUP_BUF struct buf out = BUF_INIT(MAX_REPLY_BYTES);
    add_rest(b);
    buf_add_str(&out, b->stream ? "{\"v\":1,\"type\":\"batch_finished\"," : "{");
    buf_addf(&out, "\"status\":\"%s\",\"stopped_at\":", b->status);
    if (b->stopped_at >= 0)
        buf_addf(&out, "%ld", b->stopped_at);
    else
        buf_add_str(&out, "null");
    buf_add_str(&out, ",\"items\":[");
    buf_add_slice(&out, buf_slice(&b->out));
    buf_add_str(&out, "]}");
    out.failed |= b->out.failed;
    if (b->stream)
        stream_close(b->stream, buf_slice(&out));
    else
        reply_buf(b->request, 200, &out);
}

/* ---- one item after the other ---- */

static void pump(struct batch *b);

static void item_over(struct batch *b, const char *status)
{
    bool is_ok = strcmp(status, status_name(STATUS_OK)) == 0;
    b->is_busy = false;
    if (!is_ok && strcmp(b->status, status_name(STATUS_OK)) == 0)
        (void)snprintf(b->status, sizeof b->status, "%s", status);
    if (!is_ok && b->stop_on_error) {
        b->is_stopped = true;
        b->stopped_at = (long)b->n_begun - 1;
    }
    pump(b); /* may free b */
}

static void on_record(void *arg, const struct err *e, struct slice json)
{
    struct batch *b = arg;
    struct item *item = &b->items[b->n_begun - 1];
    struct slice status;
    char text[24] = "";
    b->request->wait = NULL;
    if (e)
        add_unrun(b, item, e->text, e);
    else
        add_record(b, item, json);
    if (e || !json_member_string(json, "status", &status) ||
        !json_copy_string(status, text, sizeof text))
        (void)snprintf(text, sizeof text, "%s", status_name(STATUS_CANCELLED));
    item_over(b, text);
}

static void on_accepted(void *arg, const struct err *e, struct slice json)
{
    struct batch *b = arg;
    struct item *item = &b->items[b->n_begun - 1];
    struct slice id;
    if (!e && json_member_string(json, "execution_id", &id))
        item->is_accepted = uuid_parse(id, &item->id);
    b->wait = NULL;
    if (!b->request) {
        if (item->is_accepted)
            stop_unwatched(b->site, b->user, &item->id);
        batch_free(b);
        return;
    }
    b->request->wait = NULL;
    if (!item->is_accepted) {
        add_unrun(b, item, e ? e->text : "it was accepted without an id", e);
        item_over(b, status_name(STATUS_CANCELLED));
        return;
    }
    if (b->stream)
        stream_on_ready(b->stream);
    request_wait(b->request,
                 execution_record(b->site->hub, b->user, &item->id, true, on_record, b));
}

static int read_item(struct batch *b, struct fields *fields, struct execute_body *ret,
                     struct err *e)
{
    return execute_body_read(fields, b->rest.value, EXECUTE_WHOLE, b->site->config, ret, e);
}

static void submit_next(struct batch *b)
{
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    struct execute_body body;
    struct err e = ERR_INIT;
    bool there = json_next(&b->rest) && read_item(b, &fields, &body, &e) == 0;
    assert(there); /* each was read before the first was run */
    struct item *item = &b->items[b->n_begun++];
    item->interrupt_on_disconnect = body.wanted.interrupt_on_disconnect;
    execute_body_decide(&body, b->stream != NULL);
    body.wanted.client = "batch";
    b->is_busy = true;
    request_wait(b->request, execution_submit(b->site->hub, b->user, &body.wanted, on_accepted, b));
}

/* The request is there, or nothing is left to do. */
static void pump(struct batch *b)
{
    if (b->is_pumping)
        return;
    b->is_pumping = true;
    while (!b->is_busy && !b->is_stopped && b->n_begun < b->n_items && !b->site->is_draining)
        submit_next(b);
    b->is_pumping = false;
    if (!b->is_busy && (b->is_stopped || b->n_begun == b->n_items))
        finish(b);
}

/* ---- the request ---- */

/* The stream has come to the end of one execution, or begins. */
static struct follower *next_follower(void *arg)
{
    struct batch *b = arg;
    while (b->n_followed < b->n_begun) {
        const struct item *item = &b->items[b->n_followed];
        if (!item->is_accepted && b->n_followed + 1 == b->n_begun && b->is_busy)
            return NULL; /* the hub has not answered yet */
        b->n_followed++;
        if (item->is_accepted)
            return follower_of_execution(b->site->hub, b->user, &item->id, 0, true, stream_on_ready,
                                         b->stream);
    }
    return NULL;
}

/* The request ends, with its reply sent or not. A stopping server is no client that leaves. */
static void on_request_done(void *arg, bool completed)
{
    struct batch *b = arg;
    struct request *r = b->request;
    const struct item *item = b->n_begun ? &b->items[b->n_begun - 1] : NULL;
    bool has_left =
        !completed && b->is_busy && !b->site->is_draining && item->interrupt_on_disconnect;
    b->request = NULL;
    b->stream = NULL;
    if (has_left && !item->is_accepted && r->wait) {
        b->wait = TAKE(r->wait); /* on_accepted interrupts and frees */
        return;
    }
    wait_cancel(TAKE(r->wait)); /* an interrupt may end the execution at once: nobody is told */
    if (has_left && item->is_accepted)
        stop_unwatched(b->site, b->user, &item->id);
    batch_free(b);
}

static int check_items(struct batch *b, struct err *e)
{
    struct execute_body body;
    b->rest = json_iter(b->executions);
    for (b->n_items = 0; json_next(&b->rest); b->n_items++) {
        CLEANUP_FIELDS struct fields fields = { .tree = NULL };
        char place[32];
        (void)snprintf(place, sizeof place, "executions[%zu]", b->n_items); /* fits */
        if (read_item(b, &fields, &body, e) < 0)
            return err_in(e, place);
    }
    b->rest = json_iter(b->executions);
    return 0;
}

static int read_body(struct batch *b, const struct request *r, struct err *e)
{
    static const struct field FIELDS[] = {
        { "executions", FIELD_OBJECTS, offsetof(struct batch, executions), true, MAX_ITEMS,
          FIELD_NO_CONFIG, NULL },
        { "stop_on_error", FIELD_FLAG, offsetof(struct batch, stop_on_error), false, 0,
          FIELD_NO_CONFIG, NULL },
    };
    if (fields_read(&b->fields, buf_slice(&r->body), FIELDS, ARRAY_LEN(FIELDS), r->site->config, b,
                    e) < 0)
        return -1;
    return check_items(b, e);
}

static int check_room(const struct request *r, struct err *e)
{
    size_t n = 0;
    for (struct batch *b = zlistx_first(r->site->batches); b; b = zlistx_next(r->site->batches))
        n += b->user == r->user;
    if (n >= MAX_OF_A_USER)
        return err_set(e, ERR_QUOTA, "%zu batches of yours are under way, the limit", n);
    return 0;
}

void batch_start(struct request *r, enum form form)
{
    struct err e = ERR_INIT;
    struct batch *b = calloc(1, sizeof *b);
    assert(b);
    *b = (struct batch){ .site = r->site,
                         .user = r->user,
                         .request = r,
                         .stop_on_error = true,
                         .stopped_at = -1,
                         .out = BUF_INIT(MAX_REPLY_BYTES) };
    (void)snprintf(b->status, sizeof b->status, "%s", status_name(STATUS_OK));
    if (check_room(r, &e) < 0 || read_body(b, r, &e) < 0) {
        batch_free(b);
        reply_error(r, &e);
        return;
    }
    buf_done(&r->body); /* fields has its own */
    b->place = zlistx_add_end(r->site->batches, b);
    request_work(r, b, on_request_done);
    if (form != FORM_JSON) {
        b->stream = stream_new(r, form);
        stream_series(b->stream, next_follower, b);
    }
    pump(b);
}

void batch_free_all(struct site *site)
{
    struct batch *b;
    while (site->batches && (b = zlistx_first(site->batches)) != NULL)
        batch_free(b);
}
