/* Whose a reply is: every request's msg_id stands in `asked` until it is answered or its kernel is gone, with the client that asked.
 * A client that comes again (another connection, the same session_id) takes over what it asked before.
 *
 *   client ──execute_request──► execution (queue, history) ──its turn──► kernel
 *          ──input_reply, interrupt_request, shutdown_request──► the hub's own verbs
 *          ──all else──► kernel, at once; while that starts: held, at most MAX_HELD_BYTES
 *
 *   kernel ──iopub──► every front        ──replies, input_request──► the front that asked
 *
 * Nothing waits here for a client: a front's on_message takes what it is given (web/jupyter_channels.c has the bound). */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "kernelhub/execution_internal.h"
#include "kernelhub/front_internal.h"
#include "kernelhub/wait.h"
#include "protocol/jupyter_mend.h"

#define MAX_ASKED      4096
#define MAX_HELD_BYTES (1u << 20)
#define MAX_DEATHS     5 /* each within STABLE_US of the one before */
#define STABLE_US      10000000
#define ENDED_US       120000000 /* a cell that ended longer ago has been heard of */

static void asked_free(void **p)
{
    struct asked *a = *p;
    free(a->header);
    free(a);
    *p = NULL;
}

void fronts_init(struct jupyter *j)
{
    j->fronts = zlistx_new();
    j->submits = zlistx_new();
    j->asked = zhashx_new();
    assert(j->fronts && j->submits && j->asked);
    zhashx_set_destructor(j->asked, asked_free);
}

void fronts_done(struct jupyter *j)
{
    struct submit *b;
    assert(zlistx_size(j->fronts) == 0);
    while ((b = zlistx_detach(j->submits, NULL)) != NULL)
        front_submit_free(b);
    zlistx_destroy(&j->fronts);
    zlistx_destroy(&j->submits);
    zhashx_destroy(&j->asked);
}

size_t fronts_count(const struct session *s)
{
    return zlistx_size(s->jupyter->fronts);
}

/* ---- to the clients ---- */

/* Not what a front gets from the store; what comms say is not in there. */
static void publish(struct session *s, const char *parent_id, const char *msg_type,
                    const struct slice *parts, size_t n)
{
    zlistx_t *fronts = s->jupyter->fronts;
    bool is_comm = strncmp(msg_type, "comm_", 5) == 0;
    for (struct front *f = zlistx_first(fronts); f; f = zlistx_next(fronts))
        if (is_comm || !catch_up_has(f, parent_id))
            f->events.on_message(f->arg, LINK_IOPUB, parts, n);
}

void front_say(struct session *s, struct front *only, enum link_channel channel,
               const char *msg_type, struct slice parent, struct slice content)
{
    CLEANUP_BUF struct buf header = BUF_INIT(1024);
    struct uuid id = uuid_new();
    jupyter_write_header(&header, id.text, msg_type, s->hub->session_id, hub_unix_us());
    const struct slice parts[JUPYTER_N_PARTS] = { buf_slice(&header),
                                                  parent.len ? parent : SLICE_LITERAL("{}"),
                                                  SLICE_LITERAL("{}"), content };
    struct jupyter_header of = { "", "" };
    if (only) {
        only->events.on_message(only->arg, channel, parts, JUPYTER_N_PARTS);
        return;
    }
    (void)jupyter_read_header(parts[1], &of); /* none: it is of no cell */
    publish(s, of.msg_id, msg_type, parts, JUPYTER_N_PARTS);
}

void front_say_state(struct session *s, const char *state, struct slice parent)
{
    CLEANUP_BUF struct buf content = BUF_INIT(256);
    buf_addf(&content, "{\"execution_state\":\"%s\"}", state);
    front_say(s, NULL, LINK_IOPUB, "status", parent, buf_slice(&content));
}

/* JEP 65. only NULL: to every front. */
static void welcome(struct session *s, struct front *only)
{
    front_say(s, only, LINK_IOPUB, "iopub_welcome", slice_of(NULL, 0),
              SLICE_LITERAL("{\"subscription\":\"\"}"));
}

void fronts_on_welcome(struct session *s)
{
    s->jupyter->welcomes = true;
    welcome(s, NULL);
}

/* Requests that nobody will answer, or nobody will hear the answer of. front: only its own; NULL: all. */
static void forget_requests(struct jupyter *j, const struct front *front)
{
    zlistx_t *ids = zhashx_keys(j->asked);
    assert(ids);
    for (const char *id = zlistx_first(ids); id; id = zlistx_next(ids)) {
        const struct asked *a = zhashx_lookup(j->asked, id);
        if (!a->is_cell && (!front || a->front == front))
            zhashx_delete(j->asked, id);
    }
    zlistx_destroy(&ids);
}

void fronts_forget_kernel(struct session *s)
{
    s->jupyter->is_dead = false;
    forget_requests(s->jupyter, NULL);
}

void fronts_say_status(struct session *s, const char *state)
{
    fronts_forget_kernel(s);
    s->jupyter->is_dead = strcmp(state, "dead") == 0;
    front_say_state(s, state, slice_of(NULL, 0));
}

static void note_idle(struct asked *a, const char *msg_type, struct slice content)
{
    struct slice state;
    if (strcmp(msg_type, "status") == 0 && json_member_string(content, "execution_state", &state) &&
        slice_is(state, "idle"))
        a->idled = true;
}

void fronts_on_message(struct session *s, const struct link_frame *f)
{
    struct jupyter *j = s->jupyter;
    struct jupyter_header parent;
    struct slice parts[LINK_MAX_PARTS];
    if (f->n_parts < JUPYTER_N_PARTS || (zlistx_size(j->fronts) == 0 && zhashx_size(j->asked) == 0))
        return;
    CLEANUP_MENDED struct jupyter_mended mended;
    bool is_iopub = f->channel == LINK_IOPUB;
    if (!jupyter_mend(f->parts, is_iopub, &mended))
        return;
    for (size_t i = 0; i < f->n_parts; i++)
        parts[i] = i < JUPYTER_N_PARTS ? mended.part[i] : f->parts[i];
    (void)jupyter_read_header(parts[1], &parent); /* mended: it is an object */
    struct asked *a = zhashx_lookup(j->asked, parent.msg_id);
    if (is_iopub) {
        publish(s, parent.msg_id, mended.names.msg_type, parts, f->n_parts);
        if (a)
            note_idle(a, mended.names.msg_type, parts[3]);
        return;
    }
    if (!a)
        return; /* nobody's who is or was here */
    if (a->front && !catch_up_has(a->front, parent.msg_id))
        a->front->events.on_message(a->front->arg, f->channel, parts, f->n_parts);
    a->replied |= f->channel != LINK_STDIN &&
                  (!a->is_cell || strcmp(mended.names.msg_type, "execute_reply") == 0);
    if (a->replied && !a->is_cell)
        zhashx_delete(j->asked, parent.msg_id);
}

/* ---- to the kernel ---- */

static bool reaches_kernel(const struct session *s)
{
    return s->kernel == KERNEL_READY && s->sandbox->state == SANDBOX_UP;
}

static void send_frame(struct session *s, struct link_frame *frame)
{
    frame->kernel_id = s->kernel_id;
    sandbox_send(s->sandbox, frame);
}

/* Kernels do not answer what they do not know: of so many requests the older ones get no answer any more. */
static void forget_old_requests(struct jupyter *j)
{
    if (zhashx_size(j->asked) < MAX_ASKED || j->n_asked - j->swept_at < MAX_ASKED / 4)
        return;
    j->swept_at = j->n_asked;
    zlistx_t *ids = zhashx_keys(j->asked);
    assert(ids);
    for (const char *id = zlistx_first(ids); id; id = zlistx_next(ids)) {
        const struct asked *a = zhashx_lookup(j->asked, id);
        if (!a->is_cell && j->n_asked - a->number > MAX_ASKED / 2)
            zhashx_delete(j->asked, id);
    }
    zlistx_destroy(&ids);
}

struct asked *front_find_cell(const struct front *f, const char *msg_id)
{
    struct asked *a = zhashx_lookup(f->session->jupyter->asked, msg_id);
    return a && a->is_cell && !a->ended_us ? a : NULL;
}

struct asked *front_ask(struct front *f, const char *msg_id, bool is_cell)
{
    struct jupyter *j = f->session->jupyter;
    j->n_asked++;
    forget_old_requests(j);
    if (zhashx_size(j->asked) >= MAX_ASKED)
        return NULL;
    struct asked *a = calloc(1, sizeof *a);
    if (!a)
        abort();
    a->front = f;
    a->number = j->n_asked;
    a->is_cell = is_cell;
    memcpy(a->client, f->client, sizeof a->client);
    zhashx_update(j->asked, msg_id, a);
    return a;
}

/* Nothing else is answered: not what comms say. */
static bool is_request(const char *msg_type)
{
    static const char SUFFIX[] = "_request";
    size_t n = strlen(msg_type);
    return n >= sizeof SUFFIX && strcmp(msg_type + n - (sizeof SUFFIX - 1), SUFFIX) == 0;
}

/* Its client decides how many there are. */
static void warn_once(struct front *f, const char *why)
{
    if (f->n_dropped++ == 0)
        log_warning("jupyter client=%s: messages dropped: %s", log_quote(slice_str(f->client)),
                    why);
}

static void pass_on(struct front *f, const struct kernel_ws_message *m)
{
    struct session *s = f->session;
    struct link_frame frame = { .type = LINK_MESSAGE,
                                .channel = m->channel,
                                .n_parts = JUPYTER_N_PARTS + m->m.n_buffers,
                                .parts = { m->m.header, m->m.parent, m->m.metadata,
                                           m->m.content } };
    for (size_t i = 0; i < m->m.n_buffers; i++)
        frame.parts[JUPYTER_N_PARTS + i] = m->m.buffers[i];
    if (front_find_cell(f, m->names.msg_id)) { /* its answers would be taken for the cell's */
        warn_once(f, "a cell that has not ended has the same msg_id");
        return;
    }
    if (is_request(m->names.msg_type) && !front_ask(f, m->names.msg_id, false)) {
        warn_once(f, "too many requests have no answer yet");
        return;
    }
    if (reaches_kernel(s)) {
        send_frame(s, &frame);
        return;
    }
    session_need_kernel(s);
    size_t before = f->held.len;
    link_encode(&f->held, &frame);
    if (f->held.failed) { /* this one is dropped, those before it stay */
        f->held.failed = false;
        f->held.len = before;
        warn_once(f, "the kernel is not there");
    }
}

static void flush_held(struct front *f)
{
    struct slice rest = buf_slice(&f->held);
    struct link_frame frame;
    size_t used;
    while (rest.len && link_decode(rest, &frame, &used) == DECODE_OK) {
        send_frame(f->session, &frame);
        rest = slice_of(rest.data + used, rest.len - used);
    }
    buf_done(&f->held);
}

void fronts_on_ready(struct session *s)
{
    zlistx_t *fronts = s->jupyter->fronts;
    s->jupyter->is_dead = false;
    if (!reaches_kernel(s))
        return;
    for (struct front *f = zlistx_first(fronts); f; f = zlistx_next(fronts))
        flush_held(f);
}

/* ---- what the hub does itself ---- */

static void answer_input(struct front *f, const struct kernel_ws_message *m)
{
    struct session *s = f->session;
    struct execution *x = s->running;
    struct slice raw = { "", 0 };
    CLEANUP_BUF struct buf value = BUF_INIT(EXECUTION_MAX_INPUT_BYTES);
    if (!x || !x->asked || s->sandbox->state != SANDBOX_UP)
        return; /* too late: it waits for nothing any more */
    (void)json_member_string(m->m.content, "value", &raw); /* none: an empty line */
    buf_add_str(&value, "");
    json_unescape(&value, raw);
    execution_answer_input(x, buf_slice(&value));
}

static void interrupt(struct front *f, const struct kernel_ws_message *m)
{
    struct err e;
    bool ok = session_interrupt(f->session->hub, f->session, &e) == 0;
    front_say(f->session, f, LINK_CONTROL, "interrupt_reply", m->m.header,
              ok ? SLICE_LITERAL("{\"status\":\"ok\"}") : SLICE_LITERAL("{\"status\":\"error\"}"));
}

static void on_restarted(void *arg, const struct err *e, struct slice json)
{
    struct jupyter *j = arg;
    j->restart = NULL;
    if (e)
        j->restart_error = *e; /* the fronts hear of all else by themselves */
}

/* One wait, however often it is asked for while the kernel starts. */
static void restart(struct front *f, const struct kernel_ws_message *m)
{
    struct session *s = f->session;
    struct jupyter *j = s->jupyter;
    CLEANUP_BUF struct buf reply = BUF_INIT(4096);
    wait_cancel(TAKE(j->restart));
    j->restart_error = (struct err)ERR_INIT;
    j->restart = session_restart(s->hub, s, on_restarted, j);
    bool is_refused = j->restart_error.code != ERR_NONE;
    buf_addf(&reply, "{\"status\":\"%s\",\"restart\":true", is_refused ? "error" : "ok");
    if (is_refused) {
        buf_add_str(&reply, ",\"ename\":\"Refused\",\"evalue\":");
        json_quote_str(&reply, j->restart_error.text);
        buf_add_str(&reply, ",\"traceback\":[]");
    }
    buf_add_char(&reply, '}');
    front_say(s, f, m->channel, "shutdown_reply", m->m.header, buf_slice(&reply));
}

static void shut_down(struct front *f, const struct kernel_ws_message *m)
{
    bool wants_restart = false;
    struct session *s = f->session;
    (void)json_member_bool(m->m.content, "restart", &wants_restart); /* absent: false */
    if (wants_restart) {
        restart(f, m);
        return;
    }
    front_say(s, f, m->channel, "shutdown_reply", m->m.header,
              SLICE_LITERAL("{\"status\":\"ok\",\"restart\":false}"));
    session_close(s, "a Jupyter client shut it down");
}

static bool is_cell(const struct kernel_ws_message *m)
{
    bool silent = false;
    struct slice subshell;
    (void)json_member_bool(m->m.content, "silent", &silent); /* absent: false */
    bool in_subshell =
        json_member(m->m.header, "subshell_id", &subshell) && json_type(subshell) == JSON_STRING;
    return !silent && !in_subshell;
}

void front_send(struct front *f, const struct kernel_ws_message *m)
{
    const char *type = m->names.msg_type;
    bool is_shell = m->channel == LINK_SHELL, is_control = m->channel == LINK_CONTROL;
    if (f->session->sandbox)
        sandbox_called(f->session->sandbox);
    if (m->channel == LINK_IOPUB)
        return; /* a kernel listens to nobody there */
    if (is_shell && strcmp(type, "execute_request") == 0 && is_cell(m))
        front_execute(f, m);
    else if (m->channel == LINK_STDIN && strcmp(type, "input_reply") == 0)
        answer_input(f, m);
    else if (is_control && strcmp(type, "interrupt_request") == 0)
        interrupt(f, m);
    else if ((is_shell || is_control) && strcmp(type, "shutdown_request") == 0)
        shut_down(f, m); /* f may be gone */
    else
        pass_on(f, m);
}

const struct uuid *front_execution(const struct front *f, const char *msg_id)
{
    const struct asked *a = zhashx_lookup(f->session->jupyter->asked, msg_id);
    if (a)
        return uuid_is_set(&a->execution_id) ? &a->execution_id : NULL;
    const struct execution *x = zhashx_lookup(f->session->hub->executions, msg_id);
    return x && x->session == f->session ? &x->id : NULL;
}

/* ---- life ---- */

static void leave(struct front *f)
{
    struct jupyter *j = f->session->jupyter;
    (void)zlistx_detach(j->fronts, f->place); /* it is in there */
    if (!f->client[0])
        forget_requests(j, f);
    for (struct asked *a = zhashx_first(j->asked); a; a = zhashx_next(j->asked))
        if (a->front == f)
            a->front = NULL;
    catch_ups_free(f);
    buf_done(&f->held);
    free(f);
}

static void end(struct front *f, const char *reason, bool is_replaced)
{
    struct front_events events = f->events;
    void *arg = f->arg;
    leave(f);
    events.on_end(arg, reason, is_replaced);
}

/* The kernel may have said anything of it: what is not heard from there is in the store. */
static bool may_have_missed(const struct front *f, const struct asked *a, int64_t now_us)
{
    if (!a->is_cell || !uuid_is_set(&a->execution_id))
        return false;
    const struct execution *x = zhashx_lookup(f->session->hub->executions, a->execution_id.text);
    return a->ended_us ? now_us - a->ended_us < ENDED_US : x && x->started;
}

static void come_again(struct front *f)
{
    int64_t now = hub_mono_us();
    zlistx_t *ids = zhashx_keys(f->session->jupyter->asked);
    assert(ids);
    for (const char *id = zlistx_first(ids); id; id = zlistx_next(ids)) {
        struct asked *a = zhashx_lookup(f->session->jupyter->asked, id);
        if (strcmp(a->client, f->client) != 0)
            continue;
        a->front = f;
        if (may_have_missed(f, a, now))
            catch_up_begin(f, &a->execution_id, slice_str(a->header));
    }
    zlistx_destroy(&ids);
}

struct front *front_open(struct session *s, struct user *u, const char *client,
                         const struct front_events *events, void *arg)
{
    struct jupyter *j = s->jupyter;
    struct front *f = calloc(1, sizeof *f);
    if (!f)
        abort();
    f->session = s;
    f->user = u;
    f->events = *events;
    f->arg = arg;
    buf_init(&f->held, MAX_HELD_BYTES);
    (void)snprintf(f->client, sizeof f->client, "%s", client);
    for (struct front *other = zlistx_first(j->fronts); other && client[0];) {
        bool same = strcmp(other->client, f->client) == 0;
        if (same)
            end(other, "the client has another connection", true);
        other = same ? zlistx_first(j->fronts) : zlistx_next(j->fronts);
    }
    f->place = zlistx_add_end(j->fronts, f);
    if (j->welcomes)
        welcome(s, f);
    if (client[0])
        come_again(f);
    session_need_kernel(s);
    return f;
}

void front_close(struct front *f)
{
    leave(f);
}

void front_has_room(struct front *f)
{
    catch_ups_go_on(f);
}

void fronts_on_death(struct session *s, bool while_starting)
{
    struct jupyter *j = s->jupyter;
    int64_t now = hub_mono_us();
    if (zlistx_size(j->fronts) == 0)
        return;
    j->deaths = now - j->died_us < STABLE_US ? j->deaths + 1 : 1;
    j->died_us = now;
    if (while_starting || j->deaths > MAX_DEATHS) {
        fronts_say_status(s, "dead");
        return;
    }
    fronts_say_status(s, "restarting");
    session_need_kernel(s);
}

void fronts_end(struct session *s, const char *reason)
{
    struct front *f;
    if (zlistx_size(s->jupyter->fronts))
        fronts_say_status(s, "dead");
    while ((f = zlistx_first(s->jupyter->fronts)) != NULL)
        end(f, reason, false);
}
