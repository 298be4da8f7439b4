/* Jupyter clients have no cursor: what they have of a cell is cleared, then said again from its first event on. They know the cell by
 * the msg_id that they gave it; one that knows it no more passes over what comes.
 *
 *   clear_output{wait} ─► each event of its feed as a message ─► execute_reply ─► status idle
 *
 * Large values are not in the events: each is fetched, and takes its place in a copy of the bundle. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "kernelhub/follower.h"
#include "kernelhub/front_internal.h"
#include "protocol/event_message.h"
#include "protocol/jupyter_message.h"

#define MAX_CONTENT_BYTES (96u << 20)

struct catch_up {
    struct front *front;
    struct uuid execution_id;
    char *header; /* of its execute_request */
    char msg_id[128];
    struct follower *follower;
    struct wait *fetch; /* of a large value */
    struct buf line;    /* the record that waits for it */
    struct buf data;    /* its bundle so far */
    size_t n_done;      /* members of it */
    char *error;        /* the last error record: the reply has it too */
    char *question;     /* the last input_request that was not said yet */
    uint64_t seq;       /* of the last event */
    bool goes_on;       /* inside go_on: a fetch may answer at once */
    void *place;        /* in the front's catch_ups */
};

static void catch_up_free(void **p)
{
    struct catch_up *c = *p;
    follower_free(c->follower);
    wait_cancel(c->fetch);
    buf_done(&c->line);
    buf_done(&c->data);
    free(c->header);
    free(c->error);
    free(c->question);
    free(c);
    *p = NULL;
}

static void say(struct catch_up *c, enum link_channel channel, const char *msg_type,
                struct slice content)
{
    front_say(c->front->session, c->front, channel, msg_type, slice_str(c->header), content);
}

static void say_record(struct catch_up *c, struct slice record, struct slice data)
{
    enum link_channel channel;
    const char *msg_type;
    CLEANUP_BUF struct buf content = BUF_INIT(MAX_CONTENT_BYTES);
    if (!event_to_message(record, data, &channel, &msg_type, &content))
        return;
    if (channel == LINK_STDIN) {
        free(c->question);
        c->question = strndup(content.data, content.len);
        return;
    }
    if (strcmp(msg_type, "error") == 0) {
        free(c->error);
        c->error = strndup(record.data, record.len);
    }
    say(c, channel, msg_type, buf_slice(&content));
}

/* Of all that the cell has asked only what still waits for an answer is asked again: a client would show a prompt for each. */
static void ask_again(struct catch_up *c)
{
    const struct execution *x =
        zhashx_lookup(c->front->session->hub->executions, c->execution_id.text);
    if (!c->question || !x || !x->asked || c->seq < feed_last_seq(x->feed))
        return;
    say(c, LINK_STDIN, "input_request", slice_str(c->question));
    free(TAKE(c->question));
}

static void go_on(struct catch_up *c);

/* ---- large values ---- */

static void on_value(void *arg, const struct err *e, const char *media_type, struct slice bytes)
{
    struct catch_up *c = arg;
    c->fetch = NULL;
    bool is_json = !e && strstr(media_type, "json") && json_valid(bytes);
    if (e)
        json_quote_str(&c->data, e->text); /* it is gone: say why in its place */
    else if (is_json)
        buf_add_slice(&c->data, bytes);
    else
        json_quote(&c->data, bytes);
    c->n_done++;
    if (!c->goes_on)
        go_on(c);
}

/* Copies members until one has to be fetched: false. */
static bool copy_bundle(struct catch_up *c, struct slice bundle)
{
    struct hub *h = c->front->session->hub;
    struct json_iter it = json_iter(bundle);
    unsigned n;
    for (size_t i = 0; json_next(&it); i++) {
        if (i < c->n_done)
            continue;
        buf_addf(&c->data, "%s\"", i ? "," : "{");
        buf_add_slice(&c->data, it.key);
        buf_add_str(&c->data, "\":");
        if (!output_is_ref(it.value, &c->execution_id, &n)) {
            buf_add_slice(&c->data, it.value);
            c->n_done++;
            continue;
        }
        struct wait *w = execution_blob(h, c->front->user, &c->execution_id, n, on_value, c);
        if (w) {
            c->fetch = w;
            return false;
        }
    }
    buf_add_str(&c->data, c->n_done ? "}" : "{}");
    return true;
}

/* The record in `line`, once its values are there. */
static bool finish_line(struct catch_up *c)
{
    struct slice bundle;
    if (!json_member(buf_slice(&c->line), "data", &bundle) || json_type(bundle) != JSON_OBJECT)
        say_record(c, buf_slice(&c->line), slice_of(NULL, 0));
    else if (!copy_bundle(c, bundle))
        return false;
    else
        say_record(c, buf_slice(&c->line), buf_slice(&c->data));
    buf_done(&c->line);
    buf_done(&c->data);
    c->n_done = 0;
    return true;
}

static bool has_reference(struct slice record)
{
    return memmem(record.data, record.len, "{\"ref\":\"", 8) != NULL;
}

/* ---- events ---- */

static bool is_finished(struct slice record)
{
    struct slice type;
    return json_member_string(record, "type", &type) && slice_is(type, "finished");
}

static void end(struct catch_up *c, struct slice finished)
{
    CLEANUP_BUF struct buf reply = BUF_INIT(1u << 20);
    event_write_reply(finished, slice_str(c->error), &reply);
    if (!reply.failed)
        say(c, LINK_SHELL, "execute_reply", buf_slice(&reply));
    say(c, LINK_IOPUB, "status", SLICE_LITERAL("{\"execution_state\":\"idle\"}"));
    (void)zlistx_delete(c->front->catch_ups, c->place); /* it is in there; frees c */
}

enum step { STEP_MORE, STEP_WAIT, STEP_OVER /* c is gone */ };

static enum step step(struct catch_up *c)
{
    struct slice line;
    struct err e = ERR_INIT;
    switch (follower_next(c->follower, &c->seq, &line, &e)) {
    case FOLLOW_WAIT:
        ask_again(c);
        return STEP_WAIT;
    case FOLLOW_LINE:
        break;
    case FOLLOW_END:
    case FOLLOW_FAILED:
        end(c, SLICE_LITERAL("{\"status\":\"lost\"}"));
        return STEP_OVER;
    }
    if (is_finished(line)) {
        end(c, line);
        return STEP_OVER;
    }
    if (!has_reference(line)) {
        say_record(c, line, slice_of(NULL, 0));
        return STEP_MORE;
    }
    buf_init(&c->line, MAX_CONTENT_BYTES);
    buf_init(&c->data, MAX_CONTENT_BYTES);
    buf_add_slice(&c->line, line);
    return finish_line(c) ? STEP_MORE : STEP_WAIT;
}

static void go_on(struct catch_up *c)
{
    const struct front *f = c->front;
    enum step s = STEP_MORE;
    c->goes_on = true;
    if (c->line.len && !finish_line(c))
        s = STEP_WAIT;
    while (s == STEP_MORE)
        s = f->events.has_room(f->arg) ? step(c) : STEP_WAIT;
    if (s != STEP_OVER)
        c->goes_on = false;
}

static void on_ready(void *arg)
{
    struct catch_up *c = arg;
    if (!c->fetch)
        go_on(c);
}

/* ---- life ---- */

void catch_up_begin(struct front *f, const struct uuid *execution_id, struct slice header)
{
    struct jupyter_header names;
    struct catch_up *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    c->front = f;
    c->execution_id = *execution_id;
    c->header = strndup(header.data, header.len);
    (void)jupyter_read_header(header, &names); /* it came from a front */
    memcpy(c->msg_id, names.msg_id, sizeof c->msg_id);
    if (!f->catch_ups) {
        f->catch_ups = zlistx_new();
        zlistx_set_destructor(f->catch_ups, catch_up_free);
    }
    c->place = zlistx_add_end(f->catch_ups, c);
    c->follower =
        follower_of_execution(f->session->hub, f->user, execution_id, 0, true, on_ready, c);
    follower_want_events(c->follower);
    say(c, LINK_IOPUB, "clear_output", SLICE_LITERAL("{\"wait\":true}"));
    go_on(c);
}

bool catch_up_has(const struct front *f, const char *msg_id)
{
    if (!f->catch_ups || !msg_id[0])
        return false;
    for (struct catch_up *c = zlistx_first(f->catch_ups); c; c = zlistx_next(f->catch_ups))
        if (strcmp(c->msg_id, msg_id) == 0)
            return true;
    return false;
}

void catch_ups_go_on(struct front *f)
{
    if (!f->catch_ups)
        return;
    for (size_t n = zlistx_size(f->catch_ups); n > 0; n--) { /* each goes to the end, or out */
        struct catch_up *c = zlistx_first(f->catch_ups);
        (void)zlistx_move_end(f->catch_ups, c->place); /* it is in there */
        on_ready(c);
    }
}

void catch_ups_free(struct front *f)
{
    zlistx_destroy(&f->catch_ups);
}
