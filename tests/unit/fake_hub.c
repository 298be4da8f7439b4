#include "fake_hub.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "base/json.h"
#include "base/log.h"
#include "kernelhub/stored.h"
#include "kernelhub/callback.h"
#include "kernelhub/execution.h"
#include "kernelhub/follower.h"
#include "kernelhub/metrics.h"
#include "kernelhub/notebook_reader.h"
#include "kernelhub/sandbox_verbs.h"
#include "kernelhub/session.h"
#include "kernelhub/spare.h"
#include "kernelhub/user.h"
#include "protocol/login.h"

#define MAX_RUNS 4096

struct config {
    const char *text[CONFIG_N_KEYS];
    int64_t number[CONFIG_N_KEYS];
};

struct line {
    char *text;
    size_t len;
};

struct run {
    struct hub *hub;
    struct uuid id;
    const struct user *user;
    char code[128];
    struct line *lines;
    size_t n_lines;
    size_t left; /* events to come */
    size_t event_bytes;
    int period_ms;
    bool ended, fails, dies, answered;
    const char *status;
    struct uuid replay_of;
    char input[32];
};

struct session {
    char name[256], language[64];
    const struct user *user;
    struct hub *hub;
};

struct hub {
    struct loop *loop;
    struct config config;
    struct user users[8];
    size_t n_users;
    struct run *runs[MAX_RUNS];
    size_t n_runs;
    struct session *sessions[16];
    zlistx_t *followers;
    zlistx_t *waits;
    zlistx_t *timed; /* waits that a timer points to: it frees them */
    unsigned n_interrupts, n_notebooks;
    bool store_is_stuck, is_revoked;    /* FAKE_KEY_2 is */
    uint8_t secret[LOGIN_SECRET_BYTES]; /* of logins */
    int64_t later_s;                    /* by so much its clock is ahead */
};

struct wait {
    struct hub *hub;
    struct run *run;
    struct run *late; /* to be accepted when its timer comes */
    reply_fn done;
    void *arg;
    bool until_end;
    void *place;
    void *timed; /* where it stands there */
    zlistx_t *all_timed;
};

struct follower {
    struct hub *hub;
    struct run *run;
    uint64_t after;
    bool live, hungry, wants_events;
    void (*on_ready)(void *arg);
    void *arg;
    void *place;
};

/* ---- config and metrics ---- */

const char *config_text(const struct config *c, enum config_key key)
{
    return c->text[key] ? c->text[key] : "";
}

int64_t config_number(const struct config *c, enum config_key key)
{
    return c->number[key];
}

bool config_flag(const struct config *c, enum config_key key)
{
    return c->number[key] != 0;
}

const char *config_name(enum config_key key)
{
    return "section/key";
}

#define MAX_SERIES 64
struct metric_counter {
    const char *name, *label[2];
    struct series {
        char value[2][64];
        double n;
    } series[MAX_SERIES];
    size_t n_series;
};
struct metric_histogram {
    double n;
};

struct metric_counter *metric_counter_new(const char *name, const char *help, const char *a,
                                          const char *b)
{
    struct metric_counter *c = calloc(1, sizeof *c);
    assert(c);
    *c = (struct metric_counter){ .name = name, .label = { a, b } };
    return c;
}

void metric_counter_free(struct metric_counter *c)
{
    free(c);
}

void metric_counter_add(struct metric_counter *c, const char *a, const char *b, double n)
{
    size_t i = 0;
    while (i < c->n_series &&
           (strcmp(c->series[i].value[0], a) != 0 || strcmp(c->series[i].value[1], b) != 0))
        i++;
    if (i == MAX_SERIES)
        return;
    if (i == c->n_series) {
        (void)snprintf(c->series[i].value[0], sizeof c->series[i].value[0], "%s", a);
        (void)snprintf(c->series[i].value[1], sizeof c->series[i].value[1], "%s", b);
        c->n_series++;
    }
    c->series[i].n += n;
}

void metric_counter_write(const struct metric_counter *c, struct buf *out)
{
    double all = 0;
    for (size_t i = 0; i < c->n_series; i++) {
        const struct series *s = &c->series[i];
        buf_addf(out, "%s{%s=\"%s\",%s=\"%s\"} %.0f\n", c->name, c->label[0], s->value[0],
                 c->label[1], s->value[1], s->n);
        all += s->n;
    }
    buf_addf(out, "%s %.0f\n", c->name, all);
}

struct metric_histogram *metric_histogram_new(const char *name, const char *help,
                                              const double *bounds, size_t n)
{
    return calloc(1, sizeof(struct metric_histogram));
}

void metric_histogram_free(struct metric_histogram *m)
{
    free(m);
}

void metric_histogram_observe(struct metric_histogram *m, double value)
{
    m->n++;
}

void metric_histogram_write(const struct metric_histogram *m, struct buf *out)
{
    buf_addf(out, "kernelhub_http_request_seconds_count %.0f\n", m->n);
}

/* ---- hub ---- */

static void add_user(struct hub *h, const char *name, bool admin)
{
    struct user *u = &h->users[h->n_users++];
    u->id = uuid_new();
    (void)snprintf(u->name, sizeof u->name, "%s", name);
    u->admin = admin;
}

struct hub *fake_hub_new(struct loop *loop)
{
    struct hub *h = calloc(1, sizeof *h);
    assert(h);
    h->loop = loop;
    h->followers = zlistx_new();
    h->waits = zlistx_new();
    h->timed = zlistx_new();
    fake_hub_set(h, CONFIG_SERVER_ADDRESS, "127.0.0.1", 0);
    fake_hub_set(h, CONFIG_SERVER_AUTH, "key", 0);
    fake_hub_set(h, CONFIG_SERVER_METRICS_TOKEN, "loopback", 0);
    fake_hub_set(h, CONFIG_SERVER_MAX_BODY, NULL, 10 << 20);
    fake_hub_set(h, CONFIG_SERVER_MAX_CONNECTIONS, NULL, 64);
    fake_hub_set(h, CONFIG_SERVER_PING, NULL, 20);
    fake_hub_set(h, CONFIG_LIMITS_SOCKETS, NULL, 16);
    fake_hub_set(h, CONFIG_LIMITS_CODE, NULL, 1 << 20);
    fake_hub_set(h, CONFIG_LIMITS_TIMEOUT, NULL, 86400);
    fake_hub_set(h, CONFIG_LIMITS_OUTPUT, NULL, 32 << 20);
    fake_hub_set(h, CONFIG_MCP_SSE, NULL, 1);
    fake_hub_set(h, CONFIG_MCP_STRUCTURED, NULL, 1);
    add_user(h, "admin", true);
    add_user(h, "anna", false);
    return h;
}

void fake_hub_set(struct hub *h, enum config_key key, const char *text, int64_t number)
{
    h->config.text[key] = text;
    h->config.number[key] = number;
}

void hub_free(struct hub *h)
{
    fake_files_free();
    for (size_t i = 0; i < h->n_runs; i++) {
        for (size_t k = 0; k < h->runs[i]->n_lines; k++)
            free(h->runs[i]->lines[k].text);
        free(h->runs[i]->lines);
        free(h->runs[i]);
    }
    for (size_t i = 0; i < 16; i++)
        free(h->sessions[i]);
    zlistx_destroy(&h->followers);
    zlistx_destroy(&h->waits);
    for (struct wait *w = zlistx_first(h->timed); w; w = zlistx_next(h->timed))
        free(w); /* its timer will not come any more */
    zlistx_destroy(&h->timed);
    free(h);
}

struct loop *hub_loop(const struct hub *h)
{
    return h->loop;
}

const struct config *hub_config(const struct hub *h)
{
    return &h->config;
}

void hub_before_commit(struct hub *h, void (*fn)(void *arg), void *arg)
{
    /* there is no store */
}

void hub_on_files_changed(struct hub *h, files_changed_fn fn, void *arg)
{
    /* what runs here changes no files */
}

void fake_hub_stick(struct hub *h)
{
    h->store_is_stuck = true;
}

void fake_hub_set_secret(struct hub *h, const char *text)
{
    (void)snprintf((char *)h->secret, sizeof h->secret, "%s", text);
}

void fake_hub_set_later(struct hub *h, int64_t seconds)
{
    h->later_s = seconds;
}

unsigned fake_hub_interrupts(const struct hub *h)
{
    return h->n_interrupts;
}

unsigned fake_hub_followers(const struct hub *h)
{
    return (unsigned)zlistx_size(h->followers);
}

unsigned fake_hub_waits(const struct hub *h)
{
    return (unsigned)zlistx_size(h->waits);
}

void hub_write_health(struct hub *h, struct buf *out, bool *ret_healthy)
{
    *ret_healthy = true;
    buf_add_str(out, "{\"status\":\"healthy\",\"version\":\"0\",\"timestamp\":\"2026-01-01T00:00:"
                     "00Z\",\"checks\":{}}");
}

void hub_write_languages(struct hub *h, const struct user *u, struct buf *out)
{
    buf_add_str(out, "{\"items\":[{\"language\":\"python\"},{\"language\":\"bash\"},{\"language\":"
                     "\"r\"}],\"next\":null}");
}

void hub_write_images(struct hub *h, const struct user *u, struct buf *out)
{
    buf_add_str(out, "{\"items\":[{\"template\":\"slim\",\"image\":\"kernelhub/"
                     "slim\",\"digest\":null}],\"next\":null}");
}

void hub_write_metrics(struct hub *h, struct buf *out)
{
    buf_add_str(out, "kernelhub_up 1\n");
    metric_gauge_write(out, "kernelhub_test_interrupts", "", h->n_interrupts);
    metric_gauge_write(out, "kernelhub_test_runs", "", (double)h->n_runs);
    metric_gauge_write(out, "kernelhub_test_followers", "", fake_hub_followers(h));
    metric_gauge_write(out, "kernelhub_test_waits", "", fake_hub_waits(h));
    metric_gauge_write(out, "kernelhub_test_notebooks", "", h->n_notebooks);
}

void metric_gauge_write(struct buf *out, const char *name, const char *help, double value)
{
    buf_addf(out, "%s %.0f\n", name, value);
}

/* ---- sandboxes: every user has one, "box"; "old" has ended ---- */

static struct sandbox {
    int64_t idle_seconds;
} the_box = { 1800 };

void sandbox_write_all(struct hub *h, const struct user *u, bool all_users, const char *label,
                       struct buf *out)
{
    static const int MIB[] = { 3, 5, 1, 1, 3 };
    buf_addf(out, "{\"items\":[{\"all\":%s}", all_users ? "true" : "false");
    for (size_t i = 0; label && strcmp(label, "long") == 0 && i < ARRAY_LEN(MIB); i++)
        buf_addf(out, ",{\"mib\":%d,\"padding\":\"%*s\"}", MIB[i], MIB[i] << 20, "");
    buf_add_str(out, "],\"next\":null}");
}

void sandbox_write(const struct sandbox *s, struct buf *out)
{
    buf_addf(out, "{\"name\":\"box\",\"idle_seconds\":%lld}", (long long)s->idle_seconds);
}

struct wait *sandbox_create(struct hub *h, struct user *u, const struct sandbox_wish *w,
                            reply_fn done, void *arg)
{
    struct buf json = BUF_INIT(4096);
    buf_addf(
        &json,
        "{\"name\":\"%s\",\"ttl_seconds\":%lld,\"memory_bytes\":%lld,\"cpus\":%g,\"private\":%s}",
        w->name ? w->name : "made-up", (long long)w->ttl_seconds, (long long)w->memory_bytes,
        w->cpus, w->private_workspace ? "true" : "false");
    done(arg, NULL, buf_slice(&json));
    buf_done(&json);
    return NULL;
}

int sandbox_find(struct hub *h, const struct user *u, const char *id_or_name, struct sandbox **ret,
                 struct err *e)
{
    *ret = &the_box;
    if (strcmp(id_or_name, "box") == 0)
        return 0;
    if (strcmp(id_or_name, "old") == 0)
        return err_set(e, ERR_GONE, "sandbox 'old' is gone since yesterday: idle for 30 min");
    return err_set(e, ERR_NOT_FOUND, "there is no sandbox '%.40s'", id_or_name);
}

int sandbox_find_any(struct hub *h, const char *id, struct sandbox **ret, struct err *e)
{
    return sandbox_find(h, &h->users[0], id, ret, e);
}

void sandbox_called(struct sandbox *s)
{
}

int sandbox_change(struct sandbox *s, const struct sandbox_change *c, struct err *e)
{
    s->idle_seconds = c->idle_seconds ? c->idle_seconds : s->idle_seconds;
    return 0;
}

struct wait *sandbox_reset(struct sandbox *s, reply_fn done, void *arg)
{
    done(arg, NULL, SLICE_LITERAL("{\"name\":\"box\"}"));
    return NULL;
}

struct wait *sandbox_stats(struct sandbox *s, reply_fn done, void *arg)
{
    done(arg, NULL, SLICE_LITERAL("{\"cpu_ms\":1}"));
    return NULL;
}

void sandbox_write_logs(const struct sandbox *s, size_t tail, struct buf *out)
{
    buf_addf(out, "{\"items\":[],\"dropped\":%zu}", tail);
}

struct wait *sandbox_delete_default(struct hub *h, struct user *u, bool purge, reply_fn done,
                                    void *arg)
{
    done(arg, NULL, SLICE_LITERAL("{}"));
    return NULL;
}

void sandbox_write_usage(struct hub *h, const struct user *u, bool by_label, struct buf *out)
{
    buf_addf(out, "{\"user\":\"%s\",\"by_label\":%s}", u->name, by_label ? "true" : "false");
}

struct wait *sandbox_delete(struct sandbox *s, const char *why, reply_fn done, void *arg)
{
    done(arg, NULL, SLICE_LITERAL("{}"));
    return NULL;
}

/* ---- users ---- */

int user_authenticate(struct hub *h, struct slice token, struct user **ret,
                      char ret_key[USER_HASH_CHARS + 1], struct err *e)
{
    bool none = strcmp(config_text(&h->config, CONFIG_SERVER_AUTH), "none") == 0;
    (void)snprintf(ret_key, USER_HASH_CHARS + 1, "%.*s", none ? 0 : (int)token.len, token.data);
    if (none || slice_is(token, FAKE_KEY))
        *ret = &h->users[0];
    else if (slice_is(token, FAKE_KEY_2) && !h->is_revoked)
        *ret = &h->users[1];
    else
        return err_set(e, ERR_UNAUTHORIZED, "the token is unknown, expired or revoked");
    return 0;
}

static void fake_seal(struct hub *h, const struct login *l, struct user_login *ret)
{
    login_seal(l, h->secret, ret->text);
    ret->is_https = l->is_https;
    ret->seconds = l->until_s - time(NULL) - h->later_s;
}

int user_log_in(struct hub *h, struct slice token, bool is_https, struct user_login *ret,
                struct err *e)
{
    char key[USER_HASH_CHARS + 1];
    struct login l;
    struct user *u;
    if (!login_begin(&l, token, is_https, time(NULL) + h->later_s))
        return err_set(e, ERR_UNAUTHORIZED, "that is no key");
    if (user_authenticate(h, token, &u, key, e) < 0)
        return -1;
    fake_seal(h, &l, ret);
    return 0;
}

int user_authenticate_login(struct hub *h, struct slice text, struct user **ret,
                            char ret_key[USER_HASH_CHARS + 1], struct user_login *ret_renewed,
                            struct err *e)
{
    struct login l;
    int64_t now_s = time(NULL) + h->later_s;
    bool is_good = login_open(text, h->secret, &l) == DECODE_OK && !login_is_over(&l, now_s);
    ret_renewed->text[0] = '\0';
    if (user_authenticate(h, is_good ? login_token(&l) : slice_of(NULL, 0), ret, ret_key, e) < 0)
        return -1;
    if (is_good && login_renew(&l, now_s))
        fake_seal(h, &l, ret_renewed);
    return 0;
}

const char *user_shut_out(struct hub *h, const struct user *u, const char *key)
{
    if (u->removed)
        return "the user was removed";
    return h->is_revoked && strcmp(key, FAKE_KEY_2) == 0 ? "the key was revoked" : NULL;
}

int user_create(struct hub *h, const char *name, bool admin, struct user **ret, struct err *e)
{
    if (user_find(h, name))
        return err_set(e, ERR_CONFLICT, "user '%s' exists", name);
    if (h->n_users == 8)
        return err_set(e, ERR_QUOTA, "8 users");
    add_user(h, name, admin);
    *ret = &h->users[h->n_users - 1];
    return 0;
}

int user_remove(struct hub *h, struct user *u, struct err *e)
{
    u->removed = true;
    return 0;
}

struct user *user_find(struct hub *h, const char *name_or_id)
{
    for (size_t i = 0; i < h->n_users; i++)
        if (!h->users[i].removed && (strcmp(h->users[i].name, name_or_id) == 0 ||
                                     strcmp(h->users[i].id.text, name_or_id) == 0))
            return &h->users[i];
    return NULL;
}

void user_write(const struct hub *h, const struct user *u, struct buf *out)
{
    buf_addf(out, "{\"id\":\"%s\",\"name\":\"%s\",\"admin\":%s}", u->id.text, u->name,
             u->admin ? "true" : "false");
}

void user_write_all(const struct hub *h, struct buf *out)
{
    buf_add_str(out, "{\"items\":[");
    for (size_t i = 0; i < h->n_users; i++) {
        buf_add_str(out, i ? "," : "");
        user_write(h, &h->users[i], out);
    }
    buf_add_str(out, "],\"next\":null}");
}

int user_key_create(struct hub *h, struct user *u, const char *name, int64_t expires_us,
                    char ret_key[USER_KEY_CHARS + 1], struct buf *ret_json, struct err *e)
{
    (void)snprintf(ret_key, USER_KEY_CHARS + 1, "kh_%064d", 7);
    buf_addf(ret_json, "{\"id\":\"%s\",\"name\":\"%s\",\"user\":\"%s\",\"expires_us\":%lld}",
             uuid_new().text, name, u->name, (long long)expires_us);
    return 0;
}

int user_key_revoke(struct hub *h, const struct uuid *key_id, struct err *e)
{
    h->is_revoked |= strcmp(key_id->text, FAKE_KEY_2_ID) == 0;
    return h->is_revoked ? 0 : err_set(e, ERR_NOT_FOUND, "no key '%s'", key_id->text);
}

void user_write_keys(const struct hub *h, const struct user *only_of, struct buf *out)
{
    buf_add_str(out, "{\"items\":[],\"next\":null}");
}

void callback_write_secret(const struct hub *h, const struct user *u, struct buf *out)
{
    buf_addf(out, "{\"secret\":\"whsec_%lld\"}", (long long)u->callback_generation);
}

void callback_renew_secret(struct hub *h, struct user *u)
{
    u->callback_generation++;
}

/* ---- waits ---- */

void wait_cancel(struct wait *w)
{
    if (!w)
        return;
    (void)zlistx_delete(w->hub->waits, w->place);
    w->hub = NULL;
    if (!w->run) /* a timer still points to it: that frees it */
        return;
    free(w);
}

static struct wait *wait_new(struct hub *h, struct run *run, reply_fn done, void *arg)
{
    struct wait *w = calloc(1, sizeof *w);
    assert(w);
    *w = (struct wait){ .hub = h, .run = run, .done = done, .arg = arg };
    w->place = zlistx_add_end(h->waits, w);
    return w;
}

static void answer_later(struct wait *w, size_t ms, loop_timer_fn *handler)
{
    w->all_timed = w->hub->timed;
    w->timed = zlistx_add_end(w->all_timed, w);
    loop_timer(w->hub->loop, ms, handler, w);
}

static void timed_free(struct wait *w)
{
    (void)zlistx_detach(w->all_timed, w->timed);
    free(w);
}

static int on_stored(struct loop *loop, int id, void *arg)
{
    struct wait *w = arg;
    if (w->hub) {
        (void)zlistx_delete(w->hub->waits, w->place);
        w->done(w->arg, NULL, SLICE_LITERAL("{}"));
    }
    timed_free(w);
    return 0;
}

bool fake_hub_is_slow(const struct session *s)
{
    return strcmp(s->name, "slow") == 0;
}

struct wait *fake_hub_wait(struct session *s, reply_fn done, void *arg)
{
    struct wait *w = wait_new(s->hub, NULL, done, arg);
    answer_later(w, 60000, on_stored);
    return w;
}

struct wait *hub_when_stored(struct hub *h, reply_fn done, void *arg)
{
    struct err e = ERR_INIT;
    if (h->store_is_stuck) {
        (void)err_set(&e, ERR_UNAVAILABLE, "it is done, but cannot be written: the disk is full");
        done(arg, &e, slice_of(NULL, 0));
        return NULL;
    }
    struct wait *w = wait_new(h, NULL, done, arg);
    answer_later(w, 2, on_stored);
    return w;
}

/* ---- runs ---- */

static void wake_followers(struct run *run)
{
    for (struct follower *f = zlistx_first(run->hub->followers); f;
         f = zlistx_next(run->hub->followers)) {
        if (f->run == run && f->hungry) {
            f->hungry = false;
            f->on_ready(f->arg);
            return; /* one at a time: the list may have changed; on_step comes again */
        }
    }
}

static void add_line(struct run *run, const char *type, const char *more, size_t bytes)
{
    struct buf b = BUF_INIT(256 << 20);
    buf_addf(&b, "{\"v\":1,\"seq\":%zu,\"execution_id\":\"%s\",\"type\":\"%s\"%s", run->n_lines + 1,
             run->id.text, type, more);
    if (bytes) {
        buf_add_str(&b, ",\"text\":\"");
        memset(buf_room(&b, bytes), 'x', bytes);
        b.len += bytes;
        buf_add_str(&b, "\"");
    }
    buf_add_str(&b, "}");
    run->lines = realloc(run->lines, (run->n_lines + 1) * sizeof *run->lines);
    assert(run->lines);
    size_t len = b.len;
    run->lines[run->n_lines++] = (struct line){ .text = buf_take(&b), .len = len };
}

/* "big BYTES" is so big in its record too. */
static void write_record(const struct run *run, struct buf *out)
{
    buf_addf(out, "{\"execution_id\":\"%s\",\"status\":\"%s\",\"stdout\":\"%s", run->id.text,
             run->status, run->input);
    for (size_t i = 0; strncmp(run->code, "big ", 4) == 0 && i < run->event_bytes; i += 10)
        buf_add_str(out, "0123456789");
    buf_add_str(out, "\",\"truncated\":false,\"exit_code\":0");
    if (uuid_is_set(&run->replay_of))
        buf_addf(out, ",\"replay_of\":\"%s\"", run->replay_of.text);
    buf_add_str(out, "}");
}

static void answer_record(struct wait *w)
{
    struct buf json = BUF_INIT(64 << 20);
    struct err e = ERR_INIT;
    reply_fn done = w->done;
    void *arg = w->arg;
    struct run *run = w->run;
    bool failed = run->fails && w->until_end;
    wait_cancel(w);
    write_record(run, &json);
    if (failed)
        (void)err_set(&e, ERR_SANDBOX, "the container did not start: no such image");
    done(arg, failed ? &e : NULL, buf_slice(&json));
    buf_done(&json);
}

static void end(struct run *run, const char *status)
{
    char more[64];
    if (run->ended)
        return;
    run->status = status;
    (void)snprintf(more, sizeof more, ",\"status\":\"%s\"", status);
    if (!run->fails && !run->dies)
        add_line(run, "finished", more, 0);
    run->ended = true;
    struct wait *w = zlistx_first(run->hub->waits);
    while (w) {
        if (w->run == run && w->until_end) {
            answer_record(w);
            w = zlistx_first(run->hub->waits);
        } else {
            w = zlistx_next(run->hub->waits);
        }
    }
}

static int on_step(struct loop *loop, int id, void *arg)
{
    struct run *run = arg;
    int period = run->period_ms;
    if (!run->ended && run->left > 0) {
        do {
            add_line(run, "stdout", "", run->event_bytes);
            run->left--;
        } while (run->left > 0 && period == 0);
    }
    if (run->left == 0 && !run->ended)
        end(run, "ok");
    wake_followers(run);
    bool again = run->left > 0;
    for (struct follower *f = zlistx_first(run->hub->followers); f;
         f = zlistx_next(run->hub->followers))
        again |= f->run == run && f->hungry && run->ended;
    if (again)
        loop_timer(loop, (size_t)period, on_step, run);
    return 0;
}

static struct run *run_find(struct hub *h, const struct user *u, const struct uuid *id)
{
    for (size_t i = 0; i < h->n_runs; i++)
        if (uuid_equal(&h->runs[i]->id, id) && h->runs[i]->user == u)
            return h->runs[i];
    return NULL;
}

static void begin(struct run *run)
{
    const char *code = run->code;
    unsigned a = 0, b = 0;
    int delay = 0;
    if (strncmp(code, "later ", 6) == 0)
        code += 6;
    if (strcmp(code, "nosandbox") == 0) {
        run->fails = true;
        add_line(run, "finished", ",\"status\":\"cancelled\",\"reason\":\"no such image\"", 0);
        run->ended = true;
        run->status = "error";
        return;
    }
    if (strcmp(code, "wait") == 0)
        return;
    run->dies = strcmp(code, "die") == 0;
    run->status = "running";
    add_line(run, "queued", ",\"position\":0", 0);
    add_line(run, "started", "", 0);
    if (strcmp(code, "hang") == 0 || strcmp(code, "stay") == 0)
        return;
    if (sscanf(code, "print %u %u", &a, &b) == 2) {
        run->left = a;
        run->event_bytes = b;
    } else if (sscanf(code, "stream %u %u", &a, &b) == 2) {
        run->left = a;
        run->event_bytes = 5;
        run->period_ms = (int)b;
        delay = (int)b;
    } else if (sscanf(code, "big %u", &a) == 1) {
        run->left = 1;
        run->event_bytes = a;
    } else if (sscanf(code, "sleep %u", &a) == 1) {
        delay = (int)a;
    } else {
        end(run, strcmp(code, "fail") == 0 ? "error" : "ok");
        return;
    }
    loop_timer(run->hub->loop, (size_t)delay, on_step, run);
}

static void accept_run(struct run *run, reply_fn done, void *arg)
{
    struct buf json = BUF_INIT(1024);
    begin(run);
    buf_addf(&json,
             "{\"execution_id\":\"%s\",\"status\":\"%s\",\"position\":0,\"session\":\"python\","
             "\"attached\":false}",
             run->id.text, run->status);
    done(arg, NULL, buf_slice(&json));
    buf_done(&json);
}

static int on_late(struct loop *loop, int id, void *arg)
{
    struct wait *w = arg;
    struct run *run = w->late;
    reply_fn done = w->done;
    void *a = w->arg;
    bool is_cancelled = !w->hub;
    if (!is_cancelled)
        (void)zlistx_delete(w->hub->waits, w->place);
    timed_free(w);
    if (is_cancelled) /* it runs all the same */
        begin(run);
    else
        accept_run(run, done, a);
    return 0;
}

static int check(const struct execution_request *r, struct err *e)
{
    if (r->command.len && strcmp(r->sandbox, "default") == 0)
        return 0;
    if (r->language && strcmp(r->language, "klingon") == 0)
        return err_set(e, ERR_INVALID, "no kernel speaks 'klingon'");
    if (r->sandbox && strcmp(r->sandbox, "box") != 0)
        return err_set(e, ERR_NOT_FOUND, "no sandbox '%s'", r->sandbox);
    if (r->sandbox && r->template_name)
        return err_set(e, ERR_CONFLICT, "sandbox 'box' is of template 'slim', not of '%s'",
                       r->template_name);
    if (r->callback_url && strstr(r->callback_url, "127."))
        return err_policy(e, "courier/allow", "callback_url has an address that is loopback");
    if (slice_is(r->code, "boom"))
        return err_set(e, ERR_BUSY, "session 'python' is busy");
    return 0;
}

struct wait *execution_submit(struct hub *h, struct user *u, const struct execution_request *r,
                              reply_fn on_accepted, void *arg)
{
    struct err e = ERR_INIT;
    struct uuid id = uuid_new();
    if (r->execution_id)
        (void)uuid_parse(slice_str(r->execution_id), &id);
    struct run *run = run_find(h, u, &id);
    if (run && !slice_is(r->code, run->code))
        (void)err_set(&e, ERR_CONFLICT, "execution '%s' has other code", id.text);
    if (e.code != ERR_NONE || check(r, &e) < 0) {
        on_accepted(arg, &e, slice_of(NULL, 0));
        return NULL;
    }
    assert(h->n_runs < MAX_RUNS);
    run = h->runs[h->n_runs++] = calloc(1, sizeof *run);
    assert(run);
    *run = (struct run){
        .hub = h, .id = id, .user = u, .status = "queued", .replay_of = r->replay_of
    };
    if (r->stdin_text.len < sizeof run->input && r->stdin_text.len)
        memcpy(run->input, r->stdin_text.data, r->stdin_text.len);
    struct slice code = r->command.len ? SLICE_LITERAL("print 3 10") : r->code;
    (void)snprintf(run->code, sizeof run->code, "%.*s", (int)(code.len < 100 ? code.len : 100),
                   code.data);
    if (strncmp(run->code, "later ", 6) == 0) {
        struct wait *w = wait_new(h, NULL, on_accepted, arg);
        w->late = run;
        answer_later(w, 20, on_late);
        return w;
    }
    accept_run(run, on_accepted, arg);
    return NULL;
}

static struct run *need(struct hub *h, const struct user *u, const struct uuid *id, reply_fn done,
                        void *arg)
{
    struct err e = ERR_INIT;
    struct run *run = run_find(h, u, id);
    if (!run) {
        (void)err_set(&e, ERR_NOT_FOUND, "no execution '%s'", id->text);
        done(arg, &e, slice_of(NULL, 0));
    }
    return run;
}

static void stop(struct run *run, const char *status)
{
    end(run, status);
    run->left = 0;
    loop_timer(run->hub->loop, 0, on_step, run);
}

static void say_status(const struct run *run, reply_fn done, void *arg)
{
    CLEANUP_BUF struct buf json = BUF_INIT(1024);
    buf_addf(&json, "{\"execution_id\":\"%s\",\"status\":\"%s\"}", run->id.text, run->status);
    done(arg, NULL, buf_slice(&json));
}

struct wait *execution_status(struct hub *h, const struct user *u, const struct uuid *id,
                              reply_fn done, void *arg)
{
    const struct run *run = need(h, u, id, done, arg);
    if (run)
        say_status(run, done, arg);
    return NULL;
}

struct wait *execution_record(struct hub *h, const struct user *u, const struct uuid *id,
                              bool until_end, reply_fn done, void *arg)
{
    struct run *run = need(h, u, id, done, arg);
    if (!run)
        return NULL;
    struct wait *w = wait_new(h, run, done, arg);
    w->until_end = until_end;
    if (until_end && !run->ended)
        return w;
    answer_record(w);
    return NULL;
}

struct wait *execution_list(struct hub *h, const struct user *u, const struct execution_filter *f,
                            reply_fn done, void *arg)
{
    done(arg, NULL, SLICE_LITERAL("{\"items\":[],\"next\":null}"));
    return NULL;
}

struct wait *execution_source(struct hub *h, const struct user *u, const struct uuid *id,
                              reply_fn done, void *arg)
{
    struct run *run = need(h, u, id, done, arg);
    struct buf json = BUF_INIT(4096);
    if (!run)
        return NULL;
    buf_add_str(&json, "{\"code\":");
    json_quote_str(&json, run->code);
    buf_add_str(&json,
                ",\"language\":\"python\",\"template\":\"python\",\"labels\":null,\"options\":{"
                "\"timeout_ms\":5000,\"has_stdin\":true,\"env\":null,\"input\":");
    json_quote_str(&json, run->input);
    buf_add_str(&json, "}}");
    done(arg, NULL, buf_slice(&json));
    buf_done(&json);
    return NULL;
}

/* Says what was asked for. */
struct wait *execution_output(struct hub *h, const struct user *u, const struct uuid *id,
                              const struct output_part *part, output_fn done, void *arg)
{
    struct err e = ERR_INIT;
    struct buf text = BUF_INIT(4096);
    if (!run_find(h, u, id)) {
        (void)err_set(&e, ERR_NOT_FOUND, "no execution '%s'", id->text);
        done(arg, &e, NULL);
        return NULL;
    }
    buf_addf(&text, "%d %lld %lld %lld %lld %s%s", (int)part->stream, (long long)part->offset,
             (long long)part->limit, (long long)part->head, (long long)part->tail,
             part->grep ? part->grep : "-", part->ignore_case ? "/i" : "");
    const struct output_found found = { .text = buf_slice(&text),
                                        .offset = part->offset,
                                        .next_offset = part->offset ? part->offset + 1 : -1,
                                        .bytes = part->wants_total ? 5000 : -1,
                                        .lines = part->wants_total ? 70 : -1,
                                        .cut = part->tail == 7,
                                        .ended = true };
    done(arg, NULL, &found);
    buf_done(&text);
    return NULL;
}

struct wait *execution_interrupt(struct hub *h, const struct user *u, const struct uuid *id,
                                 reply_fn done, void *arg)
{
    struct run *run = need(h, u, id, done, arg);
    if (!run)
        return NULL;
    h->n_interrupts++;
    if (strcmp(run->code, "stay") != 0)
        stop(run, strcmp(run->status, "queued") == 0 ? "cancelled" : "interrupted");
    say_status(run, done, arg);
    return NULL;
}

struct wait *execution_cancel(struct hub *h, const struct user *u, const struct uuid *id,
                              reply_fn done, void *arg)
{
    struct err e = ERR_INIT;
    struct run *run = need(h, u, id, done, arg);
    if (!run)
        return NULL;
    if (strcmp(run->status, "queued") == 0) {
        stop(run, "cancelled");
        say_status(run, done, arg);
        return NULL;
    }
    (void)err_set(&e, ERR_CONFLICT, "it runs already");
    done(arg, &e, slice_of(NULL, 0));
    return NULL;
}

/* Runs whose code begins with "ask " wait for input until they get it. */
struct wait *execution_input(struct hub *h, const struct user *u, const struct uuid *id,
                             struct slice value, reply_fn done, void *arg)
{
    struct err e = ERR_INIT;
    struct run *run = need(h, u, id, done, arg);
    if (!run)
        return NULL;
    if (strncmp(run->code, "ask ", 4) != 0 || run->answered) {
        (void)err_set(&e, ERR_CONFLICT, "it does not wait for input");
        done(arg, &e, slice_of(NULL, 0));
        return NULL;
    }
    run->answered = true;
    CLEANUP_BUF struct buf json = BUF_INIT(1024);
    buf_addf(&json, "{\"execution_id\":\"%s\",\"status\":\"running\"}", run->id.text);
    done(arg, NULL, buf_slice(&json));
    return NULL;
}

struct wait *execution_blob(struct hub *h, const struct user *u, const struct uuid *id, unsigned n,
                            blob_fn done, void *arg)
{
    struct err e = ERR_INIT;
    static const char *const TYPES[] = { "text/html", "image/png\r\nX-Evil: 1" };
    if (run_find(h, u, id) && n < 2) {
        done(arg, NULL, TYPES[n], SLICE_LITERAL("0123456789"));
        return NULL;
    }
    (void)err_set(&e, ERR_NOT_FOUND, "no such blob");
    done(arg, &e, NULL, slice_of(NULL, 0));
    return NULL;
}

/* ---- followers ---- */

static struct follower *follow(struct hub *h, struct run *run, uint64_t after, bool live,
                               void (*on_ready)(void *arg), void *arg)
{
    struct follower *f = calloc(1, sizeof *f);
    assert(f);
    *f = (struct follower){
        .hub = h, .run = run, .after = after, .live = live, .on_ready = on_ready, .arg = arg
    };
    f->place = zlistx_add_end(h->followers, f);
    return f;
}

struct follower *follower_of_execution(struct hub *h, const struct user *u, const struct uuid *id,
                                       uint64_t after, bool live, void (*on_ready)(void *arg),
                                       void *arg)
{
    return follow(h, run_find(h, u, id), after, live, on_ready, arg);
}

/* The feed of session 'python' never says anything. */
struct follower *follower_of_session(struct hub *h, const struct user *u, const char *name,
                                     uint64_t after, bool live, void (*on_ready)(void *arg),
                                     void *arg)
{
    static struct run quiet = { .status = "running" };
    return follow(h, session_find(h, u, name) ? &quiet : NULL, after, live, on_ready, arg);
}

void follower_free(struct follower *f)
{
    if (!f)
        return;
    (void)zlistx_delete(f->hub->followers, f->place);
    free(f);
}

void follower_want_events(struct follower *f)
{
    f->wants_events = true;
}

enum follow follower_next(struct follower *f, uint64_t *ret_seq, struct slice *ret_line,
                          struct err *e)
{
    if (!f->run) {
        (void)err_set(e, ERR_NOT_FOUND, "no such feed");
        return FOLLOW_FAILED;
    }
    if (f->run->fails && !f->wants_events) {
        (void)err_set(e, ERR_SANDBOX, "the container did not start: no such image");
        return FOLLOW_FAILED;
    }
    if (f->after < f->run->n_lines) {
        *ret_line = slice_of(f->run->lines[f->after].text, f->run->lines[f->after].len);
        *ret_seq = ++f->after;
        return FOLLOW_LINE;
    }
    if (f->run->ended && f->run->dies) {
        (void)err_set(e, ERR_INTERNAL, "the store is gone");
        return FOLLOW_FAILED;
    }
    if (f->run->ended || !f->live)
        return FOLLOW_END;
    f->hungry = true;
    return FOLLOW_WAIT;
}

/* ---- sessions ---- */

struct session *session_find(struct hub *h, const struct user *u, const char *name)
{
    for (size_t i = 0; i < 16; i++)
        if (h->sessions[i] && h->sessions[i]->user == u && strcmp(h->sessions[i]->name, name) == 0)
            return h->sessions[i];
    return NULL;
}

void session_write(const struct session *s, struct buf *out)
{
    buf_add_str(out, "{\"name\":");
    json_quote_str(out, s->name);
    buf_addf(out, ",\"language\":\"%s\",\"status\":\"idle\"}", s->language);
}

void session_write_all(struct hub *h, const struct user *u, struct buf *out)
{
    const char *comma = "";
    buf_add_str(out, "{\"items\":[");
    for (size_t i = 0; i < 16; i++) {
        if (!h->sessions[i] || h->sessions[i]->user != u)
            continue;
        buf_add_str(out, comma);
        session_write(h->sessions[i], out);
        comma = ",";
    }
    buf_add_str(out, "],\"next\":null}");
}

static void answer_session(const struct session *s, reply_fn done, void *arg)
{
    struct buf json = BUF_INIT(2048);
    session_write(s, &json);
    done(arg, NULL, buf_slice(&json));
    buf_done(&json);
}

static const char *wish_name(const struct session_wish *w)
{
    return w->name ? w->name : w->language ? w->language : "python";
}

bool session_exists(struct hub *h, const struct user *u, const struct session_wish *w)
{
    return session_find(h, u, wish_name(w)) != NULL;
}

struct wait *session_create(struct hub *h, struct user *u, const struct session_wish *w,
                            reply_fn done, void *arg)
{
    const char *name = wish_name(w), *language = w->language;
    struct err e = ERR_INIT;
    struct session *s = session_find(h, u, name);
    if (s && language && strcmp(s->language, language) != 0)
        (void)err_set(&e, ERR_CONFLICT, "session '%s' speaks %s", name, s->language);
    for (size_t i = 0; i < 16 && !s; i++) {
        if (h->sessions[i])
            continue;
        s = h->sessions[i] = calloc(1, sizeof *s);
        assert(s);
        s->user = u;
        s->hub = h;
        (void)snprintf(s->name, sizeof s->name, "%s", name);
        (void)snprintf(s->language, sizeof s->language, "%s", language ? language : "python");
    }
    if (e.code == ERR_NONE && s)
        answer_session(s, done, arg);
    else
        done(arg, &e, slice_of(NULL, 0));
    return NULL;
}

struct wait *session_restart(struct hub *h, struct session *s, reply_fn done, void *arg)
{
    answer_session(s, done, arg);
    return NULL;
}

int session_interrupt(struct hub *h, struct session *s, struct err *e)
{
    return 0;
}

int session_delete(struct hub *h, struct session *s, struct err *e)
{
    for (size_t i = 0; i < 16; i++)
        if (h->sessions[i] == s)
            h->sessions[i] = NULL;
    free(s);
    return 0;
}

/* ---- notebooks: of session 'python' two pieces, each 2 ms late; of 'long' a thousand of 64 KiB; 'broken' ends in the middle ---- */

struct notebook_reader {
    struct hub *hub;
    char session[256];
    int64_t since_us;
    bool has_outputs;
    void (*on_ready)(void *arg);
    void *arg;
    int n_given, timer;
    bool is_due;
    char piece[65536];
};

struct notebook_reader *notebook_reader_new(struct hub *h, const struct user *u,
                                            const struct notebook_wish *w,
                                            void (*on_ready)(void *arg), void *arg)
{
    struct notebook_reader *r = calloc(1, sizeof *r);
    assert(r);
    (void)snprintf(r->session, sizeof r->session, "%s", w->session);
    r->hub = h;
    r->since_us = w->since_us;
    r->has_outputs = !w->without_outputs;
    r->on_ready = on_ready;
    r->arg = arg;
    r->timer = -1;
    h->n_notebooks++;
    return r;
}

void notebook_reader_free(struct notebook_reader *r)
{
    if (!r)
        return;
    if (r->timer >= 0)
        loop_timer_end(r->hub->loop, r->timer);
    r->hub->n_notebooks--;
    free(r);
}

static int on_piece(struct loop *loop, int id, void *arg)
{
    struct notebook_reader *r = arg;
    r->timer = -1;
    r->is_due = true;
    r->on_ready(r->arg);
    return 0;
}

enum follow notebook_reader_next(struct notebook_reader *r, struct slice *ret_piece, struct err *e)
{
    bool is_long = strcmp(r->session, "long") == 0;
    if (!r->is_due) {
        if (r->timer < 0)
            r->timer = loop_timer(r->hub->loop, is_long ? 0 : 2, on_piece, r);
        return FOLLOW_WAIT;
    }
    r->is_due = false;
    if (strcmp(r->session, "none") == 0) {
        (void)err_set(e, ERR_NOT_FOUND, "no session 'none'");
        return FOLLOW_FAILED;
    }
    if (r->n_given == 1 && strcmp(r->session, "broken") == 0) {
        (void)err_set(e, ERR_INTERNAL, "the disk is gone");
        return FOLLOW_FAILED;
    }
    if (r->n_given == (is_long ? 1000 : 2))
        return FOLLOW_END;
    if (is_long)
        memset(r->piece, ' ', sizeof r->piece);
    else
        (void)snprintf(r->piece, sizeof r->piece,
                       r->n_given ? "\"since\":%lld,\"outputs\":%d}" : "{\"cells\":[],",
                       (long long)r->since_us, r->has_outputs);
    *ret_piece = slice_of(r->piece, is_long ? sizeof r->piece : strlen(r->piece));
    r->n_given++;
    return FOLLOW_LINE;
}

void spare_note(struct hub *h)
{
    (void)h; /* a fake keeps no large blocks */
}
