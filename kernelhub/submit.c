/* How an execution comes in: checked, committed, then queued; or found to be one that is there already. */
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "kernelhub/callback_internal.h"
#include "kernelhub/command.h"
#include "kernelhub/jupyter_internal.h"
#include "kernelhub/quota.h"
#include "kernelhub/wait.h"

#define DEFAULT_TIMEOUT_SECONDS 30
#define MAX_HELD_BYTES          EXECUTION_MAX_HELD_BYTES
#define MIN_OUTPUT_BYTES        1024
#define MAX_OPTIONS_BYTES       (64u << 20)

static const struct store_mark NO_MARK;

static int check_limits(const struct config *c, const struct execution_request *r, struct err *e)
{
    int64_t code = config_number(c, CONFIG_LIMITS_CODE),
            timeout = config_number(c, CONFIG_LIMITS_TIMEOUT);
    int64_t output = config_number(c, CONFIG_LIMITS_OUTPUT);
    if ((int64_t)r->code.len > code)
        return err_set(e, ERR_TOO_LARGE, "code has %zu bytes; the limit (max_code_bytes) is %lld",
                       r->code.len, (long long)code);
    if (!isfinite(r->timeout_seconds) || r->timeout_seconds < 0 ||
        r->timeout_seconds > (double)timeout)
        return err_set(e, ERR_INVALID, "timeout_seconds must be above 0 and at most %lld",
                       (long long)timeout);
    if (!isfinite(r->queue_timeout_seconds) || r->queue_timeout_seconds < 0 ||
        r->queue_timeout_seconds > (double)timeout)
        return err_set(e, ERR_INVALID, "queue_timeout_seconds must be above 0 and at most %lld",
                       (long long)timeout);
    if (r->max_output_bytes < 0 || r->max_output_bytes > output)
        return err_set(e, ERR_INVALID, "max_output_bytes must be %d to %lld", MIN_OUTPUT_BYTES,
                       (long long)output);
    if (r->has_stdin && r->interactive)
        return err_set(e, ERR_INVALID,
                       "'stdin' and 'interactive' exclude each other: what would answer input()?");
    if (r->max_output_bytes && r->max_output_bytes < MIN_OUTPUT_BYTES)
        return err_set(e, ERR_INVALID, "max_output_bytes must be at least %d", MIN_OUTPUT_BYTES);
    return 0;
}

static size_t bytes_of(const struct execution_request *r)
{
    return r->code.len + r->env.len + r->stdin_text.len + r->labels.len + r->as_sent.len;
}

static int open_session(struct hub *h, struct user *u, const struct execution_request *r,
                        struct session **ret, struct err *e)
{
    char name[128];
    struct sandbox *in;
    if (sandbox_named(h, u, r->sandbox, &in, e) < 0)
        return -1;
    if (r->command.len)
        return command_open(h, u, r, in, ret, e);
    session_default_name(r->language, in, name);
    if (!r->not_persistent)
        return session_open(h, u, r->session ? r->session : name, r->language, r->template_name, in,
                            false, ret, e);
    if (r->session)
        return err_set(e, ERR_INVALID,
                       "persistent:false runs in a kernel of its own: leave 'session' out");
    (void)snprintf(name, sizeof name, "once-%.36s", uuid_new().text);
    return session_open(h, u, name, r->language, r->template_name, in, true, ret, e);
}

static int check_session(struct session *s, const struct execution_request *r, struct err *e)
{
    int64_t max = config_number(s->hub->config, CONFIG_LIMITS_QUEUE);
    bool busy = s->running || zlistx_size(s->queue);
    if (r->no_queue && busy)
        return err_set(e, ERR_BUSY, "session '%s' is running something else", s->name);
    if ((int64_t)zlistx_size(s->queue) >= max)
        return err_set(e, ERR_QUOTA, "%lld executions wait in session '%s', the limit",
                       (long long)max, s->name);
    if (r->env.len && !s->ephemeral && !s->env_by_metadata)
        return err_set(e, ERR_INVALID, "env cannot be set for one run in %s: use persistent:false",
                       s->language);
    return 0;
}

static char *copy(struct slice s)
{
    char *text = s.data ? malloc(s.len + 1) : NULL;
    if (!text)
        return NULL;
    memcpy(text, s.data, s.len);
    text[s.len] = '\0';
    return text;
}

static void name_session(struct execution *x, int64_t feed, const char *name, const char *language)
{
    x->session_feed = feed;
    (void)snprintf(x->session_name, sizeof x->session_name, "%s", name ? name : "");
    (void)snprintf(x->language, sizeof x->language, "%s", language);
}

/* By which a Jupyter client is known that comes again. */
static void name_client(struct execution *x)
{
    struct slice header, name;
    struct slice sent = slice_str(x->as_sent);
    bool is_known =
        x->as_sent &&
        ((json_member_string(sent, "client", &name) && name.len) ||
         (json_member(sent, "header", &header) && json_member_string(header, "session", &name)));
    if (!is_known || !json_copy_string(name, x->client_session, sizeof x->client_session))
        x->client_session[0] = '\0';
}

static struct execution *execution_new(struct hub *h, struct user *u, struct session *s,
                                       const struct execution_request *r, const struct uuid *id)
{
    struct execution *x = calloc(1, sizeof *x);
    if (!x)
        abort();
    x->hub = h;
    x->user = u;
    x->session = s;
    x->id = *id;
    x->replay_of = r->replay_of;
    x->feed = feed_new(store_next_feed(h->store), 0);
    x->waits = wait_list_new();
    x->queue_timer = -1;
    x->execution_count = -1;
    x->reply = (struct outcome_reply){ .execution_count = -1, .exit_code = OUTCOME_NO_CODE };
    (void)snprintf(x->client, sizeof x->client, "%s", r->client ? r->client : "rest");
    x->code = copy(r->code);
    x->code_len = r->code.len;
    x->labels = copy(r->labels);
    x->command = r->command.len ? command_write_order(r) : NULL;
    x->as_sent = copy(r->as_sent);
    x->stop_on_error = r->stop_on_error;
    name_client(x);
    x->env = copy(r->env);
    x->has_stdin = r->has_stdin;
    x->interactive = r->interactive;
    x->input = copy(r->stdin_text);
    x->input_len = r->stdin_text.len;
    x->timeout_ms =
        (int64_t)(1000 * (r->timeout_seconds > 0 ? r->timeout_seconds : DEFAULT_TIMEOUT_SECONDS));
    x->queue_timeout_ms = (int64_t)(1000 * r->queue_timeout_seconds);
    x->max_output_bytes =
        r->max_output_bytes ? r->max_output_bytes : config_number(h->config, CONFIG_LIMITS_OUTPUT);
    output_init(&x->output, x->max_output_bytes);
    u->held_bytes += x->held_bytes = bytes_of(r);
    x->created_us = hub_unix_us();
    x->created_mono_us = hub_mono_us();
    return x;
}

/* What a hub that comes after us needs to run it. */
static void write_options(const struct execution *x, struct buf *out)
{
    buf_addf(out,
             "{\"timeout_ms\":%lld,\"queue_timeout_ms\":%lld,\"max_output_bytes\":%lld,\"has_"
             "stdin\":%s,\"interactive\":%s,"
             "\"env\":"
             "%s,\"input\":",
             (long long)x->timeout_ms, (long long)x->queue_timeout_ms,
             (long long)x->max_output_bytes, x->has_stdin ? "true" : "false",
             x->interactive ? "true" : "false",
             x->env            ? x->env
             : x->session->env ? x->session->env
                               : "null");
    json_quote_str(out, x->input);
    buf_addf(out, ",\"command\":%s,\"stop_on_error\":%s,\"as_sent\":%s}",
             x->command ? x->command : "null", x->stop_on_error ? "true" : "false",
             x->as_sent ? x->as_sent : "null");
}

static char *dup_object(struct slice options, const char *name)
{
    struct slice value;
    return json_member(options, name, &value) && json_type(value) == JSON_OBJECT
               ? strndup(value.data, value.len)
               : NULL;
}

/* When that was, by the clock that durations are taken with. */
static int64_t mono_of(int64_t unix_us)
{
    return hub_mono_us() - (hub_unix_us() - unix_us);
}

/* NULL: it has ended. Another one may have its name by now. */
static struct session *session_of(struct hub *h, const struct user *u,
                                  const struct execution_row *r)
{
    if (!r->session)
        return command_find_holder(h, r->session_feed);
    struct session *s = session_find(h, u, r->session);
    return s && feed_number(s->feed) == r->session_feed ? s : NULL;
}

/* In its session's running place or queue. */
static void take_place(struct execution *x, const struct execution_row *r)
{
    struct session *s = x->session;
    if (r->epoch && !(s && s->running)) {
        (void)snprintf(x->epoch, sizeof x->epoch, "%s", r->epoch);
        x->kernel_id = r->kernel_id;
        x->sandbox_id = r->sandbox_id;
        x->sent_mono_us = x->started ? mono_of(x->started_us) : hub_mono_us();
        x->status = x->asked ? STATUS_WAITING_INPUT : STATUS_RUNNING;
        if (s)
            s->running = x;
    } else if (s) {
        execution_enter_queue(x);
    }
}

struct execution *execution_recover(struct hub *h, const struct execution_row *r, uint64_t last_seq)
{
    struct user *u = zhashx_lookup(h->users, r->user_id.text);
    if (!u)
        return NULL;
    struct session *s = session_of(h, u, r);
    struct execution_request request = {
        .code = r->code, .labels = r->labels, .replay_of = r->replay_of, .client = r->client
    };
    struct execution *x = execution_new(h, u, s, &request, &r->id);
    name_session(x, r->session_feed, r->session, r->language ? r->language : "");
    int64_t max = x->max_output_bytes;
    feed_unref(x->feed);
    x->feed = feed_new(r->feed, last_seq);
    x->command = dup_object(r->options, "command");
    x->as_sent = dup_object(r->options, "as_sent");
    (void)json_member_bool(r->options, "stop_on_error", &x->stop_on_error); /* absent: false */
    name_client(x);
    if (s && s->ephemeral && !s->is_command && !s->env)
        s->env = dup_object(r->options, "env");
    else
        x->env = dup_object(r->options, "env");
    x->input = json_member_dup(r->options, "input", 16u << 20);
    x->input_len = x->input ? strlen(x->input) : 0;
    (void)json_member_bool(r->options, "has_stdin",
                           &x->has_stdin); /* what is missing keeps its default */
    (void)json_member_bool(r->options, "interactive", &x->interactive);
    (void)json_member_int(r->options, "timeout_ms", &x->timeout_ms);
    (void)json_member_int(r->options, "queue_timeout_ms", &x->queue_timeout_ms);
    (void)json_member_int(r->options, "max_output_bytes", &max);
    output_init(&x->output, x->max_output_bytes = max);
    execution_read_input(x, r->input);
    x->output.head_bytes = store_feed_bytes(h->store, r->feed);
    output_recover(&x->output);
    x->output.n_blobs = store_next_blob(h->store, r->feed);
    x->output.dropped_bytes = r->dropped_bytes;
    x->output.dropped_messages = r->dropped_messages;
    x->created_us = r->created_us;
    x->created_mono_us = mono_of(r->created_us);
    x->started_us = r->started_us;
    x->started = r->started_us != 0;
    x->execution_count = r->execution_count;
    x->inserted = true;
    outcome_parse_reply(r->reply, &x->reply);
    zhashx_insert(h->executions, x->id.text, x);
    take_place(x, r);
    if (s)
        fronts_recover_execution(s, x);
    return x;
}

static void write_accepted(const struct uuid *id, const char *status, const char *session,
                           unsigned position, bool attached, struct buf *out)
{
    buf_addf(out,
             "{\"execution_id\":\"%s\",\"status\":\"%s\",\"position\":%u,\"session\":", id->text,
             status, position);
    json_quote_str(out, session[0] ? session : NULL);
    buf_addf(out, ",\"attached\":%s}", attached ? "true" : "false");
}

/* ---- it was there already ---- */

struct attach {
    struct hub *hub;
    struct wait *wait; /* NULL: nobody wants to know any more */
    struct uuid id, user_id;
    char code_hash[65];
    struct err refusal; /* why a new one is not taken; none: it is known to be there */
};

static void hash_code(struct slice code, char ret[65])
{
    unsigned char raw[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(raw, (const unsigned char *)code.data, code.len);
    sodium_bin2hex(ret, 65, raw, sizeof raw);
}

static void on_found(void *arg, const struct err *e, struct slice json)
{
    struct attach *a = arg;
    struct wait *w = a->wait;
    struct slice user, hash, status = SLICE_LITERAL("queued"), session = { 0 };
    CLEANUP_BUF struct buf out = BUF_INIT(1024);
    struct err why = a->refusal;
    bool is_new = e && e->code == ERR_NOT_FOUND && why.code != ERR_NONE;
    if (!is_new)
        (void)err_set(&why, ERR_CONFLICT, "execution_id %s was used before, for other code",
                      a->id.text);
    bool same = !e && json_member_string(json, "user_id", &user) &&
                slice_is(user, a->user_id.text) && json_member_string(json, "code_sha256", &hash) &&
                slice_is(hash, a->code_hash);
    if (same) {
        struct execution *live = zhashx_lookup(a->hub->executions, a->id.text);
        (void)json_member_string(json, "status", &status); /* always there */
        (void)json_member_string(json, "session", &session);
        char text[32] = "", name[128] = "";
        (void)json_copy_string(status, text, sizeof text);
        (void)json_copy_string(session, name, sizeof name);
        write_accepted(&a->id, live ? status_name(live->status) : text, name,
                       live ? execution_position(live) : 0, true, &out);
    }
    free(a);
    if (same)
        wait_answer(w, NULL, buf_slice(&out));
    else
        wait_answer(w, e && e->code != ERR_NOT_FOUND ? e : &why, slice_of(NULL, 0));
}

static struct attach *attach_new(struct hub *h, const struct user *u, const struct uuid *id,
                                 struct slice code)
{
    struct attach *a = calloc(1, sizeof *a);
    if (!a)
        abort();
    *a = (struct attach){ .hub = h, .id = *id, .user_id = u->id };
    hash_code(code, a->code_hash);
    return a;
}

static void look_up(struct attach *a, struct wait *w)
{
    wait_leave(w); /* whose place it was may go, the wait stays */
    a->wait = w;
    wait_set_ticket(w, store_find_hash(a->hub->store, &a->id, on_found, a), a);
}

static void attach(struct execution *x)
{
    if (x->accept) /* else nobody wants to know any more */
        look_up(attach_new(x->hub, x->user, &x->id, slice_of(x->code, x->code_len)), x->accept);
}

static void on_earlier_committed(void *arg)
{
    struct attach *a = arg;
    if (a->wait)
        look_up(a, a->wait);
    else
        free(a);
}

static bool is_submitted(struct hub *h, const struct uuid *id)
{
    for (struct execution *x = zhashx_first(h->submitted); x; x = zhashx_next(h->submitted))
        if (uuid_equal(&x->id, id))
            return true;
    return false;
}

static struct wait *refuse(const struct err *e, reply_fn done, void *arg)
{
    done(arg, e, slice_of(NULL, 0));
    return NULL;
}

/* What stands in the way of a new one (a full queue, a quota, a sandbox that is gone) does not concern a repeat. */
static struct wait *attach_or_refuse(struct hub *h, const struct user *u,
                                     const struct execution_request *r, const struct uuid *id,
                                     const struct err *e, reply_fn done, void *arg)
{
    char why[200];
    if (!r->execution_id)
        return refuse(e, done, arg);
    struct attach *a = attach_new(h, u, id, r->code);
    struct wait *w = wait_new_owned(&a->wait, done, arg);
    a->wait = w;
    a->refusal = *e;
    if (is_submitted(h, id) && store_healthy(h->store, why, sizeof why))
        store_mark(h->store, NO_MARK, on_earlier_committed, a); /* behind its insert */
    else
        look_up(a, w);
    return w;
}

/* ---- it is new ---- */

static void drop_new(struct execution *x)
{
    struct session *s = x->session;
    execution_leave_session(x);
    if (s && s->ephemeral)
        session_close(s, "its execution was there already");
    else if (s)
        session_pump(s);
    zhashx_delete(x->hub->submitted, x->feed_key);
    execution_free(x);
}

static void on_inserted(void *arg, bool exists)
{
    struct execution *x = arg;
    struct session *s = x->session;
    if (exists) {
        attach(x);
        drop_new(x);
        return;
    }
    x->inserted = true;
    if (x->callback)
        callback_begin(TAKE(x->callback));
    zhashx_delete(x->hub->submitted, x->feed_key);
    zhashx_insert(x->hub->executions, x->id.text, x);
    CLEANUP_BUF struct buf out = BUF_INIT(1024);
    unsigned position = execution_position(x);
    write_accepted(&x->id, status_name(x->status), x->session_name, position, false, &out);
    if (x->failure.code != ERR_NONE) {
        struct err why = x->failure;
        struct outcome outcome = { STATUS_CANCELLED, OUTCOME_NO_CODE, why.text };
        execution_finish(x, outcome, NULL, &why, NO_MARK);
    } else if (s->running == x) {
        execution_transmit(x);
    } else {
        if (position)
            execution_say_position(x, position, x->created_us);
        session_pump(s);
    }
    if (x->accept)
        wait_answer(x->accept, NULL, buf_slice(&out));
}

/* Whether a new one is taken, and its session. */
static int admit(struct hub *h, struct user *u, const struct execution_request *r,
                 struct session **ret, struct err *e)
{
    char why[200];
    if (!store_healthy(h->store, why, sizeof why))
        return err_set(e, ERR_UNAVAILABLE, "the history cannot be written: %s", why);
    if (u->held_bytes + bytes_of(r) > MAX_HELD_BYTES)
        return err_set(e, ERR_QUOTA,
                       "what waits and runs has %zu bytes of code and input, the limit is %u",
                       u->held_bytes, MAX_HELD_BYTES);
    if (check_limits(h->config, r, e) < 0 || quota_may_begin(h->quota, u, e) < 0 ||
        (r->callback_url && callback_check(h, u, r->callback_url, e) < 0) ||
        open_session(h, u, r, ret, e) < 0)
        return -1;
    if (check_session(*ret, r, e) == 0)
        return 0;
    if ((*ret)->ephemeral)
        session_close(*ret, "its execution was refused");
    return -1;
}

static struct wait *submit(struct hub *h, struct user *u, const struct execution_request *r,
                           reply_fn on_accepted, void *arg)
{
    struct session *s;
    struct err e = ERR_INIT;
    struct uuid id = uuid_new();
    if (r->execution_id && !uuid_parse(slice_str(r->execution_id), &id)) {
        (void)err_set(&e, ERR_INVALID, "execution_id must be a UUID");
        return refuse(&e, on_accepted, arg);
    }
    bool is_repeat = r->execution_id && zhashx_lookup(h->executions, id.text);
    if (is_repeat || admit(h, u, r, &s, &e) < 0)
        return attach_or_refuse(h, u, r, &id, &e, on_accepted, arg);
    if (s->ephemeral && !s->is_command && r->env.len && !s->env)
        s->env = copy(r->env);
    struct execution *x = execution_new(h, u, s, r, &id);
    name_session(x, feed_number(s->feed), s->is_command ? NULL : s->name, s->language);
    if (s->ephemeral && !s->is_command)
        free(TAKE(x->env)); /* its kernel is started with it */
    CLEANUP_BUF struct buf options = BUF_INIT(MAX_OPTIONS_BYTES);
    write_options(x, &options);
    if (options.failed) { /* cut, the hub that comes after us would run something else */
        (void)err_set(&e, ERR_TOO_LARGE,
                      "stdin, env and what else goes with the code have more than %u bytes as JSON",
                      MAX_OPTIONS_BYTES);
        execution_free(x);
        if (s->ephemeral)
            session_close(s, "its execution was refused");
        return attach_or_refuse(h, u, r, &id, &e, on_accepted, arg);
    }
    s->last_used_us = x->created_us;
    if (s->sandbox)
        sandbox_use(s->sandbox, x->created_us, SANDBOX_CALLED);
    execution_enter_queue(x);
    (void)snprintf(x->feed_key, sizeof x->feed_key, "%lld", (long long)feed_number(x->feed));
    zhashx_insert(h->submitted, x->feed_key, x);
    x->accept = wait_new_owned(&x->accept, on_accepted, arg);
    if (execution_can_run(x))
        execution_take_kernel(x); /* accepted and sent in one commit */
    struct execution_row row;
    execution_row(x, &row);
    row.options = buf_slice(&options);
    store_hold(h->store);
    store_insert_execution(h->store, &row, on_inserted, x);
    if (r->callback_url)
        x->callback = callback_new(h, u, row.feed, &x->id, r->callback_url);
    store_release(h->store);
    return x->accept;
}

struct wait *execution_submit(struct hub *h, struct user *u, const struct execution_request *r,
                              reply_fn on_accepted, void *arg)
{
    if (!r->command.len)
        return submit(h, u, r, on_accepted, arg);
    CLEANUP_BUF struct buf line = BUF_INIT(8u << 20);
    struct execution_request with_line = *r;
    command_write_line(r->command, &line);
    with_line.code = buf_slice(&line);
    return submit(h, u, &with_line, on_accepted, arg);
}
