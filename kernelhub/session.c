/* The life of a session's kernel:
 *
 *   NONE ──need──► WAITING ──sandbox up──► STARTING ──ready──► READY
 *     ▲               │ sandbox failed         │ died              │ died, stopped, sandbox gone
 *     └───────────────┴────────────────────────┴──────────────────┘
 *
 * Each wait has a deadline elsewhere: the sandbox's own (sandbox.c), the warden's for STARTING. */
#include "kernelhub/session_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "kernelhub/catalog.h"
#include "kernelhub/command.h"
#include "kernelhub/execution_internal.h"
#include "kernelhub/jupyter_internal.h"
#include "kernelhub/wait.h"
#include "protocol/jupyter_message.h"

#define MAX_LANGUAGE_INFO_BYTES 16384

static void table_key(const struct user *u, const char *name, char ret[200])
{
    (void)snprintf(ret, 200, "%s/%s", u->id.text, name);
}

struct session *session_find(struct hub *h, const struct user *u, const char *name)
{
    char key[200];
    table_key(u, name, key);
    struct session *s = zhashx_lookup(h->sessions, key);
    return s && s->is_command ? NULL : s; /* nobody's but its command's */
}

struct session *session_new(struct hub *h, struct user *u, const char *name, int64_t feed,
                            uint64_t last_seq)
{
    char key[200];
    struct session *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->hub = h;
    s->user = u;
    s->feed = feed_new(feed, last_seq);
    s->queue = zlistx_new();
    s->waits = wait_list_new();
    s->jupyter = jupyter_new(name);
    s->retire_timer = -1;
    (void)snprintf(s->name, sizeof s->name, "%s", name);
    table_key(u, name, key);
    zhashx_insert(h->sessions, key, s);
    zhashx_insert(h->jupyter_kernels, s->jupyter->kernel_id.text, s);
    return s;
}

void session_free(struct session *s)
{
    s->removed =
        true; /* nobody whose wait ends here finds it: it would be ended, or used, while it is freed */
    if (s->ending)
        s->ending->left = NULL;
    wait_list_free(&s->waits);
    zlistx_destroy(&s->queue);
    feed_unref(s->feed);
    jupyter_free(s->jupyter);
    free(s->start);
    free(s->language_info);
    free(s->env);
    free(s);
}

void session_save(const struct session *s, int64_t ended_us)
{
    CLEANUP_BUF struct buf jupyter = BUF_INIT(256u * 1024);
    if (!s->ephemeral)
        jupyter_save(s->jupyter, &jupyter);
    struct session_row row = {
        .jupyter = jupyter.data,
        .feed = feed_number(s->feed),
        .user_id = s->user->id,
        .home = s->home,
        .kernel_id = s->kernel_id,
        .name = s->name,
        .language = s->language,
        .kernelspec = s->kernelspec,
        .template_name = s->template_name,
        .ephemeral = s->ephemeral,
        .created_us = s->created_us,
        .ended_us = ended_us,
    };
    if (s->sandbox)
        row.sandbox_id = s->sandbox->id;
    store_put_session(s->hub->store, &row, NULL, NULL);
}

static unsigned sessions_of(struct hub *h, const struct user *u)
{
    unsigned n = 0;
    for (struct session *s = zhashx_first(h->sessions); s; s = zhashx_next(h->sessions))
        n += s->user == u && !s->is_command;
    return n;
}

static bool is_session_name(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n > 127)
        return false;
    for (const char *p = name; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    return true;
}

static int check_language(struct session *s, const char *language, struct err *e)
{
    if (!language || strcasecmp(catalog_language(language), s->language) == 0 ||
        strcasecmp(language, s->kernelspec) == 0)
        return 0;
    return err_set(e, ERR_CONFLICT, "session '%s' speaks %s, not %s", s->name, s->language,
                   language);
}

static void take_spec(struct session *s, const struct catalog_kernel *k)
{
    CLEANUP_BUF struct buf start = BUF_INIT(1 << 20);
    const struct sandbox *in = s->sandbox ? s->sandbox : session_home(s);
    catalog_write_start(k, slice_str(in ? in->env : NULL), slice_str(s->env), s->jupyter->folder,
                        &start);
    free(s->start);
    s->start = buf_take(&start);
    s->env_by_metadata = k->env_by_metadata;
    s->stdin_by_metadata = k->stdin_by_metadata;
    (void)snprintf(s->language, sizeof s->language, "%s", k->language);
    (void)snprintf(s->kernelspec, sizeof s->kernelspec, "%s", k->kernelspec);
    (void)snprintf(s->template_name, sizeof s->template_name, "%s", k->template_name);
    (void)snprintf(s->display_name, sizeof s->display_name, "%s",
                   k->display_name ? k->display_name : k->kernelspec);
}

void session_refresh(struct session *s)
{
    const struct catalog_kernel *k;
    struct err e;
    if (s->is_command)
        return;
    if (catalog_find(s->hub->catalog, s->template_name, s->kernelspec, &k, &e) == 0)
        take_spec(s, k);
    else
        log_warning("session %s: %s", log_quote(slice_str(s->name)), log_quote(slice_str(e.text)));
}

int session_open(struct hub *h, struct user *u, const char *name, const char *language,
                 const char *template_name, struct sandbox *in, bool ephemeral,
                 struct session **ret, struct err *e)
{
    const struct catalog_kernel *k;
    struct session *s = session_find(h, u, name);
    if (s) {
        if (check_language(s, language, e) < 0 || session_check_place(s, in, template_name, e) < 0)
            return -1;
        *ret = s;
        return 0;
    }
    if (!is_session_name(name))
        return err_set(e, ERR_INVALID,
                       "a session's name is 1 to 127 bytes without control characters");
    int64_t max = config_number(h->config, CONFIG_LIMITS_SESSIONS);
    if ((int64_t)sessions_of(h, u) >= max)
        return err_set(e, ERR_QUOTA, "%lld sessions are open, the limit: delete one",
                       (long long)max);
    if (session_choose_template(h, u, in, &template_name, e) < 0 ||
        catalog_find(h->catalog, template_name, language ? language : "python", &k, e) < 0)
        return -1;
    s = session_new(h, u, name, store_next_feed(h->store), 0);
    s->ephemeral = ephemeral;
    if (in && !sandbox_is_default(in))
        s->home = in->id;
    s->created_us = s->last_used_us = hub_unix_us();
    take_spec(s, k);
    session_save(s, 0);
    *ret = s;
    return 0;
}

struct session *session_recover(struct hub *h, const struct session_row *r)
{
    struct user *u = zhashx_lookup(h->users, r->user_id.text);
    if (!u)
        return NULL;
    struct session *s = session_new(h, u, r->name, r->feed, store_last_seq(h->store, r->feed));
    zhashx_delete(h->jupyter_kernels, s->jupyter->kernel_id.text);
    jupyter_recover(s->jupyter, slice_str(r->jupyter));
    zhashx_insert(h->jupyter_kernels, s->jupyter->kernel_id.text, s);
    s->ephemeral = r->ephemeral;
    s->home = r->home;
    s->is_command = r->ephemeral && strcmp(r->language, COMMAND_LANGUAGE) == 0;
    s->created_us = s->last_used_us = r->created_us;
    (void)snprintf(s->language, sizeof s->language, "%s", r->language);
    (void)snprintf(s->kernelspec, sizeof s->kernelspec, "%s", r->kernelspec ? r->kernelspec : "");
    (void)snprintf(s->template_name, sizeof s->template_name, "%s",
                   r->template_name ? r->template_name : "");
    (void)snprintf(s->display_name, sizeof s->display_name, "%s", s->kernelspec);
    session_refresh(s);
    struct sandbox *sandbox =
        uuid_is_set(&r->sandbox_id) ? zhashx_lookup(h->sandboxes, r->sandbox_id.text) : NULL;
    if (sandbox && uuid_is_set(&r->kernel_id)) {
        s->sandbox = sandbox;
        s->kernel_id = r->kernel_id;
        s->kernel = KERNEL_STARTING; /* until the warden's hello says more */
        s->recovered = true;
        zhashx_insert(h->kernels, s->kernel_id.text, s);
    }
    if (!r->jupyter && !s->ephemeral)
        session_save(s, 0); /* of before version 6: its Jupyter ids are to stay what they are now */
    return s;
}

struct event_ticket {
    struct hub *hub;
    struct feed *feed;
    struct store_mark mark;
};

static void on_event_committed(void *arg, uint64_t seq, struct slice line)
{
    struct event_ticket *t = arg;
    feed_add(t->feed, seq, line);
    sandbox_committed(t->hub, t->mark);
    feed_unref(t->feed);
    free(t);
}

void session_add_event(struct session *s, enum event_type type, struct slice fields,
                       struct store_mark mark)
{
    struct event_ticket *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    *t = (struct event_ticket){ s->hub, feed_ref(s->feed), mark };
    struct event_head head = {
        .unix_us = hub_unix_us(), .session = s->name, .kernel_id = s->kernel_id, .type = type
    };
    store_add_event(s->hub->store, feed_number(s->feed), &head, fields, mark,
                    !feed_is_watched(s->feed), on_event_committed, t);
}

void session_say_status(struct session *s, const char *state, const char *reason)
{
    CLEANUP_BUF struct buf fields = BUF_INIT(4096);
    buf_addf(&fields, ",\"state\":\"%s\"", state);
    if (reason) {
        buf_add_str(&fields, ",\"reason\":");
        json_quote_str(&fields, reason);
    }
    session_add_event(s, EVENT_KERNEL_STATUS, buf_slice(&fields),
                      (struct store_mark){ .number = 0 });
}

void session_leave_kernel(struct session *s)
{
    if (uuid_is_set(&s->kernel_id))
        zhashx_delete(s->hub->kernels, s->kernel_id.text);
    s->recovered = false;
    s->kernel = KERNEL_NONE;
    s->dying = s->adopting = s->jupyter->welcomes = false;
    s->kernel_id = (struct uuid){ "" };
    s->sandbox = NULL;
    s->execution_count = 0;
}

void session_end_all(struct session *s, const struct outcome_end *end, const char *reason,
                     const struct err *failure, struct store_mark mark)
{
    bool marked = false;
    if (s->running) {
        struct execution *x = s->running;
        struct outcome outcome = execution_outcome(x, end);
        execution_finish(x, outcome, end, NULL, mark);
        marked = true;
    }
    for (struct execution *x = zlistx_first(s->queue); x; x = zlistx_first(s->queue))
        execution_cancel_queued(x, reason, failure);
    if (!marked && mark.number) /* behind what was cancelled */
        store_mark(s->hub->store, mark, sandbox_mark_done, sandbox_mark_ticket(s->hub, mark));
}

static void lose_kernel(struct session *s, const struct err *why)
{
    session_leave_kernel(s);
    session_save(s, 0);
    wait_list_answer(s->waits, why, slice_of(NULL, 0));
    for (struct execution *x = zlistx_first(s->queue); x; x = zlistx_first(s->queue))
        execution_cancel_queued(x, why->text, why);
}

void session_kernel_failed(struct session *s, const struct err *why)
{
    lose_kernel(s, why);
    fronts_say_status(s, "dead");
}

void session_send_start(struct session *s)
{
    if (s->is_command) {
        command_sandbox_up(s, false);
        return;
    }
    s->kernel = KERNEL_STARTING;
    struct link_frame f = { .type = LINK_START,
                            .kernel_id = s->kernel_id,
                            .n_parts = 1,
                            .parts = { slice_str(s->start) } };
    sandbox_send(s->sandbox, &f);
}

void session_need_kernel(struct session *s)
{
    const struct catalog_kernel *k =
        NULL; /* a command runs in any sandbox, whichever kernels its image has */
    struct sandbox *sandbox;
    struct err e;
    if (s->kernel != KERNEL_NONE)
        return;
    if ((catalog_is_empty(s->hub->catalog) || s->hub->catalog_is_recalled) &&
        hub_unix_us() - s->hub->started_us < HUB_CATALOG_PATIENCE_MS * 1000LL)
        return; /* the keeper is still looking at the images: hub.c pumps when it knows, or when it took too long */
    if ((!s->is_command &&
         catalog_find(s->hub->catalog, s->template_name, s->kernelspec, &k, &e) < 0) ||
        session_choose_sandbox(s, k ? k->template_name : command_template(s), &sandbox, &e) < 0) {
        session_kernel_failed(s, &e);
        return;
    }
    session_enter_sandbox(s, sandbox);
    if (k)
        take_spec(s, k);
    session_save(s, 0);
    session_say_status(s, "starting", NULL);
    if (sandbox->state == SANDBOX_UP)
        session_send_start(s);
}

void session_pump(struct session *s)
{
    if (s->removed || s->dying || s->running || s->ending || zlistx_size(s->queue) == 0)
        return;
    if (s->kernel == KERNEL_NONE)
        session_need_kernel(s);
    if (s->kernel != KERNEL_READY || s->sandbox->state != SANDBOX_UP || s->sandbox->held)
        return;
    struct execution *x = zlistx_first(s->queue);
    if (x && x->inserted)
        execution_send(x);
}

void session_ready(struct session *s)
{
    CLEANUP_BUF struct buf json = BUF_INIT(4096);
    s->kernel = KERNEL_READY;
    s->recovered = false;
    session_write(s, &json);
    wait_list_answer(s->waits, NULL, buf_slice(&json));
    fronts_on_ready(s);
    session_pump(s);
}

/* reason: why the kernel before it is gone, when nobody asked for that. */
static void say_restarted(struct session *s)
{
    CLEANUP_BUF struct buf fields = BUF_INIT(4096);
    if (s->lost_why[0]) {
        buf_add_str(&fields, ",\"reason\":");
        json_quote_str(&fields, s->lost_why);
    }
    s->lost_why[0] = '\0';
    session_add_event(s, EVENT_RESTARTED, buf_slice(&fields), (struct store_mark){ .number = 0 });
}

static void count_start(struct session *s)
{
    metric_histogram_observe(s->hub->start_seconds, (double)(hub_mono_us() - s->start_us) / 1e6);
    metric_counter_add(s->hub->kernel_starts_total, "ok", s->language, 1);
    if (s->restarting || s->lost_why[0])
        say_restarted(s);
    s->restarting = false;
    sandbox_note(s->sandbox, "kernel_ready", slice_str(s->name));
}

void session_on_ready(struct session *s)
{
    if (!s->adopting)
        count_start(s);
    session_say_status(s, "idle", s->adopting ? "the kernel kept its state" : NULL);
    s->adopting = false;
    s->moves = 0;
    session_ready(s);
}

static const char DIED_BEFORE[] = "the kernel died before it was this code's turn";

void session_kernel_is_dying(struct session *s)
{
    s->dying = true;
    for (struct execution *x = zlistx_first(s->queue); x; x = zlistx_first(s->queue))
        execution_cancel_queued(x, DIED_BEFORE, NULL);
}

/* Its death was expected since its last execution ended: what was submitted since then is for the next kernel. */
static void on_death_done(struct session *s, struct store_mark mark)
{
    store_mark(s->hub->store, mark, sandbox_mark_done, sandbox_mark_ticket(s->hub, mark));
    session_leave_kernel(s);
    session_save(s, 0);
    fronts_on_death(s, false);
    session_pump(s);
}

static void on_dead(struct session *s, struct slice json, struct store_mark mark)
{
    struct outcome_end end;
    struct err why;
    bool expected = false;
    (void)outcome_read_end(json, &end); /* shares exit_code, signal and oom */
    (void)snprintf(end.how, sizeof end.how, "died");
    (void)json_member_bool(json, "expected", &expected);
    char *output = json_member_dup(json, "output", 1 << 16),
         *reason = json_member_dup(json, "reason", 200);
    size_t n = output ? strlen(output) : 0;
    bool starting = s->kernel == KERNEL_STARTING && !s->recovered && !s->adopting;
    (void)err_set(&why, ERR_KERNEL_DIED, "the %s kernel died%s: %s%s%s", s->language,
                  starting ? " while starting" : "",
                  reason && *reason ? reason : "it ended by itself",
                  n ? "; the end of its output: " : "", n ? output + (n > 300 ? n - 300 : 0) : "");
    if (!starting)
        (void)snprintf(s->lost_why, sizeof s->lost_why, "%.200s; its state is lost",
                       reason && *reason ? reason : "the kernel ended by itself");
    session_note_death(s, &why, slice_str(output));
    free(output);
    free(reason);
    log_info("kernel dead kernel=%s session=%s starting=%d", s->kernel_id.text,
             log_quote(slice_str(s->name)), starting);
    if (s->adopting) {
        store_mark(s->hub->store, mark, sandbox_mark_done, sandbox_mark_ticket(s->hub, mark));
        session_renew(s, s->lost_why);
        return;
    }
    session_say_status(s, "dead", NULL);
    if (starting)
        metric_counter_add(s->hub->kernel_starts_total, "failed", s->language, 1);
    if (s->dying) {
        on_death_done(s, mark);
        return;
    }
    /* the warden would have told of its end: it never got there */
    if (s->running && !s->running->started)
        execution_cancel_queued(s->running, DIED_BEFORE, NULL);
    session_end_all(s, &end, DIED_BEFORE, starting ? &why : NULL, mark);
    lose_kernel(s, &why);
    fronts_on_death(s, starting);
}

/* What its notebook says of the language. */
static void keep_language_info(struct session *s, const struct link_frame *f)
{
    struct slice info;
    free(TAKE(s->language_info));
    if (f->n_parts > 1 && json_valid(f->parts[1]) &&
        json_member(f->parts[1], "language_info", &info) && json_type(info) == JSON_OBJECT &&
        info.len <= MAX_LANGUAGE_INFO_BYTES)
        s->language_info = strndup(info.data, info.len);
}

static void on_kernel(struct session *s, struct sandbox *sandbox, const struct link_frame *f)
{
    struct slice json = f->n_parts ? f->parts[0] : slice_of(NULL, 0), state;
    if (!json_valid(json) || !json_member_string(json, "state", &state)) {
        sandbox_cut_off(sandbox, "it says nothing proper about a kernel");
        return;
    }
    bool expected = false;
    (void)json_member_bool(json, "expected", &expected);
    if (slice_is(state, "ready") && s->kernel == KERNEL_STARTING) {
        keep_language_info(s, f);
        session_on_ready(s);
    } else if (slice_is(state, "dead") &&
               (s->kernel == KERNEL_READY || s->kernel == KERNEL_STARTING) &&
               !(expected && s->restarting)) {
        on_dead(s, json, sandbox_take_mark(sandbox));
    }
}

/* running: the execution it names, when that runs here; NULL: it belongs to none that runs. */
static void on_message(struct session *s, struct execution *running, struct sandbox *sandbox,
                       const struct link_frame *f)
{
    struct jupyter_header header;
    if (f->n_parts < 4 || !jupyter_read_header(f->parts[0], &header))
        return;
    if (f->channel == LINK_IOPUB && strcmp(header.msg_type, "iopub_welcome") == 0) {
        fronts_on_welcome(s);
        return;
    }
    fronts_on_message(s, f);
    if (running)
        execution_on_message(running, sandbox, f, header.msg_type);
    else if (f->channel == LINK_IOPUB)
        session_add_late(s, sandbox, f, header.msg_type);
    else if (f->channel == LINK_STDIN && uuid_is_set(&f->execution_id) &&
             strcmp(header.msg_type, "input_request") == 0)
        execution_reply_input(sandbox, &s->kernel_id, f->parts[0],
                              EXECUTION_END_OF_FILE); /* a thread of a cell that has ended */
}

static void on_refused(struct session *s, struct execution *running, const struct link_frame *f)
{
    struct slice json = f->n_parts ? f->parts[0] : slice_of(NULL, 0);
    char *text = json_valid(json) ? json_member_dup(json, "message", 300) : NULL;
    struct err why;
    (void)err_set(&why, ERR_SANDBOX, "the warden refused an order: %s",
                  text ? text : "it did not say why");
    free(text);
    log_warning("kernel=%s %s", s->kernel_id.text, log_quote(slice_str(why.text)));
    if (running) {
        struct outcome outcome = { STATUS_CANCELLED, OUTCOME_NO_CODE,
                                   "the sandbox did not take it" };
        execution_finish(running, outcome, NULL, &why, (struct store_mark){ .number = 0 });
        session_pump(s);
    } else if (s->kernel == KERNEL_STARTING) {
        session_kernel_failed(s, &why);
    }
}

/* What names what is another sandbox's: no warden can know of that. */
static bool is_foreign(const struct sandbox *sandbox, const struct session *s,
                       const struct execution *x)
{
    return (s && s->sandbox != sandbox) || (x && !uuid_equal(&x->sandbox_id, &sandbox->id));
}

void session_on_frame(struct sandbox *sandbox, const struct link_frame *f)
{
    struct session *s = zhashx_lookup(sandbox->hub->kernels, f->kernel_id.text);
    struct execution *x = uuid_is_set(&f->execution_id)
                              ? zhashx_lookup(sandbox->hub->executions, f->execution_id.text)
                              : NULL;
    if (is_foreign(sandbox, s, x)) {
        sandbox_cut_off(sandbox, "it speaks of what runs in another sandbox");
        return;
    }
    if (!s)
        return; /* of a kernel we gave up */
    struct execution *running = x && x == s->running ? x : NULL;
    switch (f->type) {
    case LINK_KERNEL:
        on_kernel(s, sandbox, f);
        break;
    case LINK_MESSAGE:
        on_message(s, running, sandbox, f);
        break;
    case LINK_END:
        if (running)
            execution_on_end(running, sandbox, f);
        break;
    case LINK_GAP:
        if (running)
            execution_on_gap(running, sandbox, f);
        break;
    case LINK_ERROR:
        on_refused(s, running, f);
        break;
    case LINK_HELLO:
    case LINK_START:
    case LINK_STOP:
    case LINK_EXECUTE:
    case LINK_INTERRUPT:
    case LINK_ACK:
    case LINK_SAMPLE:
    case LINK_EXEC:
    case LINK_TERMINAL:
    case LINK_INPUT:
    case LINK_RESIZE:
    case LINK_CREDIT:
    case LINK_OUTPUT:
    case LINK_TAKEN:
    case LINK_STATE:
    case LINK_USAGE:
        break;
    }
}
