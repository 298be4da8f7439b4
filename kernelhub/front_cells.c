/* A Jupyter client's cells as executions: how they come in, and what their client hears of an end that no kernel told it of. */
#include <stdio.h>
#include <stdlib.h>

#include <sodium.h>

#include "base/json.h"
#include "kernelhub/front_internal.h"
#include "kernelhub/wait.h"
#include "protocol/jupyter_message.h"

#define MAX_MADE_BYTES (64u * 1024)
#define MAX_ENDED      32 /* cells that a session keeps for clients that come again */

static void write_failure(struct buf *out, const char *status, const char *name, const char *why)
{
    buf_add_char(out, '{');
    if (status)
        buf_addf(out, "\"status\":\"%s\",", status);
    buf_add_str(out, "\"ename\":");
    json_quote_str(out, name);
    buf_add_str(out, ",\"evalue\":");
    json_quote_str(out, why);
    buf_add_str(out, ",\"traceback\":[");
    CLEANUP_BUF struct buf line = BUF_INIT(MAX_MADE_BYTES);
    buf_addf(&line, "%s: %s", name, why);
    json_quote(out, buf_slice(&line));
    buf_add_str(out, "]}");
}

/* What a kernel says of a cell that failed; only: who gets the reply, NULL: it is away. */
static void say_failed(struct session *s, struct front *only, struct slice parent, const char *name,
                       const char *why)
{
    CLEANUP_BUF struct buf error = BUF_INIT(MAX_MADE_BYTES), reply = BUF_INIT(MAX_MADE_BYTES);
    write_failure(&error, NULL, name, why);
    write_failure(&reply, "error", name, why);
    front_say(s, NULL, LINK_IOPUB, "error", parent, buf_slice(&error));
    if (only)
        front_say(s, only, LINK_SHELL, "execute_reply", parent, buf_slice(&reply));
}

/* Only to who asked: to others the msg_id is another cell's. */
static void refuse_privately(struct front *f, struct slice parent, const char *why)
{
    CLEANUP_BUF struct buf reply = BUF_INIT(MAX_MADE_BYTES);
    write_failure(&reply, "error", "Refused", why);
    front_say(f->session, f, LINK_SHELL, "execute_reply", parent, buf_slice(&reply));
    front_say(f->session, f, LINK_IOPUB, "status", parent,
              SLICE_LITERAL("{\"execution_state\":\"idle\"}"));
}

/* as_sent: of write_as_sent, so that a hub which reads it from the store comes to the same. */
static void write_digest(struct slice as_sent, struct slice code, uint8_t ret[FRONT_DIGEST_BYTES])
{
    crypto_generichash_state state;
    struct slice header = SLICE_LITERAL("");
    (void)json_member(as_sent, "header", &header);                      /* it is in there */
    (void)crypto_generichash_init(&state, NULL, 0, FRONT_DIGEST_BYTES); /* none of them can fail */
    (void)crypto_generichash_update(&state, (const uint8_t *)header.data, header.len);
    (void)crypto_generichash_update(&state, (const uint8_t *)code.data, code.len);
    (void)crypto_generichash_final(&state, ret, FRONT_DIGEST_BYTES);
}

/* A cell whose msg_id is that of one that has not ended: the same once more, by its client that does not know whether it came, waits for
 * the answer to the first. */
static bool is_taken(struct front *f, const struct kernel_ws_message *m,
                     const uint8_t digest[FRONT_DIGEST_BYTES])
{
    struct asked *a = front_find_cell(f, m->names.msg_id);
    if (!a)
        return false;
    bool is_its_own = a->front == f || (!a->front && strcmp(a->client, f->client) == 0);
    if (is_its_own && memcmp(a->digest, digest, FRONT_DIGEST_BYTES) == 0)
        a->front = f;
    else
        refuse_privately(f, m->m.header, "a cell that has not ended has the same msg_id");
    return true;
}

void front_submit_free(struct submit *b)
{
    wait_cancel(b->wait);
    free(b->header);
    free(b);
}

static void on_accepted(void *arg, const struct err *e, struct slice json)
{
    struct submit *b = arg;
    struct session *s = b->session;
    struct jupyter_header names;
    b->wait = NULL;
    (void)jupyter_read_header(slice_str(b->header), &names); /* it was read before */
    struct asked *a = zhashx_lookup(s->jupyter->asked, names.msg_id);
    struct slice id;
    if (!e && a && json_member_string(json, "execution_id", &id))
        (void)uuid_parse(id, &a->execution_id); /* ours */
    if (e) {
        if (a)
            say_failed(s, a->front, slice_str(b->header), "Refused", e->text);
        front_say_state(s, "idle", slice_str(b->header));
        zhashx_delete(s->jupyter->asked, names.msg_id);
    }
    (void)zlistx_detach(s->jupyter->submits, b->place); /* it is in there */
    front_submit_free(b);
}

/* {"header","parent","metadata","content","client"}, the content without what we say ourselves. */
static void write_as_sent(const struct jupyter_message *m, const char *client, struct buf *out)
{
    buf_add_str(out, "{\"header\":");
    (void)json_splice(out, m->header); /* all four were checked */
    buf_add_str(out, ",\"parent\":");
    (void)json_splice(out, m->parent);
    buf_add_str(out, ",\"metadata\":");
    (void)json_splice(out, m->metadata);
    buf_add_str(out, ",\"content\":{");
    const char *comma = "";
    struct json_iter it = json_iter(m->content);
    while (json_next(&it)) {
        if (slice_is(it.key, "code") || slice_is(it.key, "stop_on_error"))
            continue;
        buf_addf(out, "%s\"", comma);
        buf_add_slice(out, it.key);
        buf_add_str(out, "\":");
        (void)json_splice(out, it.value);
        comma = ",";
    }
    buf_add_str(out, "},\"client\":");
    json_quote_str(out, client);
    buf_add_char(out, '}');
}

void front_execute(struct front *f, const struct kernel_ws_message *m)
{
    struct session *s = f->session;
    CLEANUP_BUF struct buf code = BUF_INIT(6 * m->m.content.len + 1), sent = BUF_INIT(16u << 20);
    struct slice raw = { "", 0 };
    (void)json_member_string(m->m.content, "code", &raw); /* none: nothing to run, and a reply */
    buf_add_str(&code, "");
    json_unescape(&code, raw);
    write_as_sent(&m->m, f->client, &sent);
    if (code.failed || sent.failed) {
        say_failed(s, f, m->m.header, "Refused", "a cell may have 16 MiB beside its code");
        front_say_state(s, "idle", m->m.header);
        return;
    }
    struct execution_request r = {
        .code = buf_slice(&code),
        .session = s->name,
        .client = "jupyter",
        .timeout_seconds = (double)config_number(s->hub->config, CONFIG_LIMITS_TIMEOUT),
        .as_sent = buf_slice(&sent),
        .stop_on_error = true,
    };
    (void)json_member_bool(m->m.content, "allow_stdin", &r.interactive); /* absent: as it stands */
    (void)json_member_bool(m->m.content, "stop_on_error", &r.stop_on_error);
    uint8_t digest[FRONT_DIGEST_BYTES];
    write_digest(buf_slice(&sent), buf_slice(&code), digest);
    if (is_taken(f, m, digest))
        return;
    struct asked *a = front_ask(f, m->names.msg_id, true);
    if (!a) {
        say_failed(s, f, m->m.header, "Refused",
                   "too many requests of this session have no answer");
        front_say_state(s, "idle", m->m.header);
        return;
    }
    a->header = strndup(m->m.header.data, m->m.header.len);
    memcpy(a->digest, digest, sizeof digest);
    struct submit *b = calloc(1, sizeof *b);
    if (!b)
        abort();
    b->session = s;
    b->header = strndup(m->m.header.data, m->m.header.len);
    b->place = zlistx_add_end(s->jupyter->submits, b);
    struct wait *w = execution_submit(s->hub, f->user, &r, on_accepted, b);
    if (w)
        b->wait = w;
}

const char FRONTS_STOPPED[] = "a cell before it failed (stop_on_error)";

/* A client may find out late that its connection was dead: then it has missed this end. */
static void keep_ended(struct jupyter *j, const char *msg_id, struct asked *a)
{
    a->ended_us = hub_mono_us();
    if (!a->client[0] || !uuid_is_set(&a->execution_id)) {
        zhashx_delete(j->asked, msg_id);
        return;
    }
    zlistx_t *ids = zhashx_keys(j->asked);
    assert(ids);
    size_t n = 0;
    const char *oldest = NULL;
    int64_t oldest_us = INT64_MAX;
    for (const char *id = zlistx_first(ids); id; id = zlistx_next(ids)) {
        const struct asked *other = zhashx_lookup(j->asked, id);
        n += other->ended_us != 0;
        if (other->ended_us && other->ended_us < oldest_us) {
            oldest_us = other->ended_us;
            oldest = id;
        }
    }
    if (n > MAX_ENDED)
        zhashx_delete(j->asked, oldest);
    zlistx_destroy(&ids);
}

void fronts_execution_ended(struct session *s, const struct execution *x, enum status status,
                            const char *why)
{
    struct slice header;
    struct jupyter_header names;
    if (!x->as_sent || !json_member(slice_str(x->as_sent), "header", &header) ||
        !jupyter_read_header(header, &names))
        return;
    static const char *const NAMES[STATUS_N] = {
        [STATUS_ERROR] = "Error",
        [STATUS_INTERRUPTED] = "Interrupted",
        [STATUS_TIMEOUT] = "Timeout",
        [STATUS_OOM] = "OutOfMemory",
        [STATUS_KERNEL_DIED] = "KernelDied",
        [STATUS_CANCELLED] = "Cancelled",
        [STATUS_LOST] = "Lost",
    };
    struct asked *a = zhashx_lookup(s->jupyter->asked, names.msg_id);
    if (!a)
        return;
    /* who catches up hears of the end as of all else */
    struct front *asker = a->front && !catch_up_has(a->front, names.msg_id) ? a->front : NULL;
    if (!a->replied && why == FRONTS_STOPPED) {
        if (asker)
            front_say(s, asker, LINK_SHELL, "execute_reply", header,
                      SLICE_LITERAL("{\"status\":\"aborted\"}"));
    } else if (!a->replied) {
        say_failed(s, asker, header, NAMES[status] ? NAMES[status] : "Error",
                   why ? why : status_name(status));
    }
    if (!a->idled)
        front_say_state(s, "idle", header);
    keep_ended(s->jupyter, names.msg_id, a);
}

void fronts_say_stderr(struct session *s, const struct execution *x, struct slice text)
{
    CLEANUP_BUF struct buf header = BUF_INIT(1024), content = BUF_INIT(MAX_MADE_BYTES);
    struct slice parent;
    if (!x->as_sent || !json_member(slice_str(x->as_sent), "header", &parent)) {
        jupyter_write_header(&header, x->id.text, "execute_request", s->hub->session_id,
                             hub_unix_us());
        parent = buf_slice(&header);
    }
    buf_add_str(&content, "{\"name\":\"stderr\",\"text\":");
    json_quote(&content, text);
    buf_add_char(&content, '}');
    front_say(s, NULL, LINK_IOPUB, "stream", parent, buf_slice(&content));
}

void fronts_stop_on_error(struct session *s, const char *client)
{
    struct execution *x = zlistx_first(s->queue);
    while (x) {
        if (x->as_sent && strcmp(x->client_session, client) == 0) {
            execution_cancel_queued(x, FRONTS_STOPPED, NULL);
            x = zlistx_first(s->queue); /* it may have taken others with it */
        } else {
            x = zlistx_next(s->queue);
        }
    }
}

void fronts_recover_execution(struct session *s, const struct execution *x)
{
    struct slice header;
    struct jupyter_header names;
    if (!x->as_sent || !json_member(slice_str(x->as_sent), "header", &header) ||
        !jupyter_read_header(header, &names))
        return;
    struct asked *a = calloc(1, sizeof *a);
    if (!a)
        abort();
    a->is_cell = true;
    a->replied = x->reply.seen;
    a->execution_id = x->id;
    a->header = strndup(header.data, header.len);
    write_digest(slice_str(x->as_sent), slice_of(x->code, x->code_len), a->digest);
    (void)snprintf(a->client, sizeof a->client, "%s", x->client_session);
    zhashx_update(s->jupyter->asked, names.msg_id, a);
}
