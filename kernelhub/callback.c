/* A callback's way:
 *
 *     WAITING ─► DUE ─► READING ─► CALLING ─► over
 *                 ▲                   │
 *                 └── after a while ──┘
 *
 * The store knows attempts and the time of the next one; WAITING or not is seen from the execution's status. So a hub that
 * dies between any two of them goes on where it was, and may call once more. */
#include "kernelhub/callback_internal.h"

#include <sodium.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "kernelhub/callback_plan.h"
#include "kernelhub/callback_url.h"
#include "kernelhub/courier_client.h"
#include "kernelhub/user_internal.h"

#define MAX_CALLS         48 /* under way in all; the courier takes 64 */
#define MAX_CALLS_OF_USER 4
#define MAX_TEXT_BYTES    (1u << 20) /* of an execution's outputs in a call */
#define MAX_RECORD_BYTES  (2u << 20) /* bigger: without its long members */
#define MAX_MEMBER_BYTES  4096       /* then */
#define MAX_PAYLOAD_BYTES (3u << 20)
#define SECRET_BYTES      crypto_auth_hmacsha256_BYTES

enum state { WAITING, DUE, READING, CALLING };

struct callback {
    struct callbacks *all;
    struct user *user;
    enum state state;
    int64_t feed;
    char key[24]; /* the feed's number, in all->open */
    struct uuid execution_id, message_id;
    char *url;
    unsigned attempts;
    int64_t next_us, first_us; /* of attempts; 0: none yet */
    struct store_query *query;
};

struct callbacks {
    struct hub *hub;
    struct network_policy policy;
    struct courier_client *courier;
    zhashx_t *open; /* owned */
    int timer;      /* -1: none */
    unsigned n_calls;
    struct callback_plan plan;
    struct metric_counter *total; /* result */
};

static void pump(struct callbacks *all);

static void free_callback(void **item)
{
    struct callback *k = *item;
    store_cancel(k->query);
    free(k->url);
    free(k);
    *item = NULL;
}

/* ---- the secret ---- */

/* Derived: whoever reads the store has the key's secret too, and nothing more need be kept. */
static void derive_secret(const struct hub *h, const struct user *u,
                          unsigned char ret[SECRET_BYTES])
{
    char text[128];
    int n = snprintf(text, sizeof text, "callback %s %lld", u->id.text,
                     (long long)u->callback_generation);
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, h->key_secret, sizeof h->key_secret);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)text, (unsigned long long)n);
    crypto_auth_hmacsha256_final(&state, ret);
}

static void add_base64(struct buf *out, const unsigned char *bytes, size_t n)
{
    char text[sodium_base64_ENCODED_LEN(SECRET_BYTES, sodium_base64_VARIANT_ORIGINAL)];
    buf_add_str(out,
                sodium_bin2base64(text, sizeof text, bytes, n, sodium_base64_VARIANT_ORIGINAL));
    sodium_memzero(text, sizeof text);
}

void callback_write_secret(const struct hub *h, const struct user *u, struct buf *out)
{
    unsigned char secret[SECRET_BYTES];
    derive_secret(h, u, secret);
    buf_add_str(out, "{\"secret\":\"whsec_");
    add_base64(out, secret, sizeof secret);
    buf_add_str(out, "\"}");
    sodium_memzero(secret, sizeof secret);
}

/* Standard Webhooks: HMAC-SHA256 of "ID.TIMESTAMP.BODY". */
static void sign(const struct callback *k, struct errand *a)
{
    unsigned char secret[SECRET_BYTES], mac[crypto_auth_hmacsha256_BYTES];
    char head[64];
    crypto_auth_hmacsha256_state state;
    CLEANUP_BUF struct buf text = BUF_INIT(sizeof a->signature - 1);
    int n = snprintf(head, sizeof head, "%s.%lld.", a->message_id, (long long)a->timestamp);
    derive_secret(k->all->hub, k->user, secret);
    crypto_auth_hmacsha256_init(&state, secret, sizeof secret);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)head, (unsigned long long)n);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)a->body.data, a->body.len);
    crypto_auth_hmacsha256_final(&state, mac);
    sodium_memzero(secret, sizeof secret);
    buf_add_str(&text, "v1,");
    add_base64(&text, mac, sizeof mac);
    (void)snprintf(a->signature, sizeof a->signature, "%s", text.data);
}

/* ---- what is called ---- */

/* Too much of it: only what is short. */
static void add_short_members(struct buf *out, struct slice record)
{
    struct json_iter it = json_iter(record);
    char before = '{';
    while (json_next(&it)) {
        bool is_flag = slice_is(it.key, "truncated");
        if (!is_flag && it.value.len > MAX_MEMBER_BYTES)
            continue;
        buf_add_char(out, before);
        before = ',';
        buf_add_char(out, '"');
        buf_add_slice(out, it.key);
        buf_add_str(out, "\":");
        buf_add_slice(out, is_flag ? SLICE_LITERAL("true") : it.value);
    }
    buf_add_char(out, '}');
}

static void write_payload(struct buf *out, struct slice record)
{
    struct slice ended;
    buf_add_str(out, "{\"type\":\"execution.finished\",\"timestamp\":");
    buf_add_slice(out, json_member(record, "finished_at", &ended) ? ended : SLICE_LITERAL("null"));
    buf_add_str(out, ",\"data\":");
    if (record.len > MAX_RECORD_BYTES)
        add_short_members(out, record);
    else
        buf_add_slice(out, record);
    buf_add_char(out, '}');
}

/* ---- how it went ---- */

static void save(const struct callback *k, const char *status, const char *error)
{
    bool over = strcmp(status, "pending") != 0;
    struct callback_row row = { .feed = k->feed,
                                .status = status,
                                .attempts = k->attempts,
                                .next_us = over ? 0 : k->next_us,
                                .first_us = k->first_us,
                                .done_us = over ? hub_unix_us() : 0,
                                .last_error = error };
    store_update_callback(k->all->hub->store, &row);
}

static void end(struct callback *k, const char *status, const char *error)
{
    struct callbacks *all = k->all;
    save(k, status, error);
    metric_counter_add(all->total, status, NULL, 1);
    if (error)
        log_info("event=callback_failed execution=%s attempts=%u reason=%s", k->execution_id.text,
                 k->attempts, log_quote(slice_str(error)));
    k->user->n_callbacks--;
    zhashx_delete(all->open, k->key); /* frees k */
}

static void try_again(struct callback *k, const char *error, int64_t retry_after)
{
    int64_t wait_us = callback_plan_wait_us(&k->all->plan, k->attempts, retry_after,
                                            randombytes_uniform(CALLBACK_PLAN_DICE));
    int64_t now = hub_unix_us();
    if (callback_plan_is_over(&k->all->plan, k->attempts, now + wait_us - k->first_us)) {
        end(k, "failed", error);
        return;
    }
    metric_counter_add(k->all->total, "retried", NULL, 1);
    k->state = DUE;
    k->next_us = now + wait_us;
    save(k, "pending", error);
}

static void on_called(void *arg, const struct err *e, int status, int64_t retry_after)
{
    struct callback *k = arg;
    struct callbacks *all = k->all;
    char text[64];
    all->n_calls--;
    k->user->n_calls--;
    (void)snprintf(text, sizeof text, "the receiver answered HTTP %d", status);
    switch (callback_plan_judge(e, status)) {
    case CALLBACK_DELIVERED:
        end(k, "delivered", NULL);
        break;
    case CALLBACK_FINAL:
        end(k, "failed", e ? e->text : text);
        break;
    case CALLBACK_AGAIN:
        try_again(k, e ? e->text : text, retry_after);
        break;
    }
    pump(all);
}

static void call(struct callback *k, struct slice record)
{
    CLEANUP_BUF struct buf payload = BUF_INIT(MAX_PAYLOAD_BYTES);
    struct errand a = {
        .timestamp = hub_unix_us() / 1000000,
        .timeout_ms = 1000 * config_number(k->all->hub->config, CONFIG_COURIER_TIMEOUT),
    };
    write_payload(&payload, record);
    a.body = buf_slice(&payload);
    (void)snprintf(a.url, sizeof a.url, "%s", k->url);
    (void)snprintf(a.message_id, sizeof a.message_id, "%s", k->message_id.text);
    sign(k, &a);
    k->attempts++;
    k->first_us = k->first_us ? k->first_us : hub_unix_us();
    k->state = CALLING;
    courier_client_call(k->all->courier, &a, on_called, k);
}

static void on_record(void *arg, const struct err *e, struct slice json)
{
    struct callback *k = arg;
    struct callbacks *all = k->all;
    k->query = NULL;
    if (!e) {
        call(k, json);
        return;
    }
    all->n_calls--;
    k->user->n_calls--;
    if (e->code == ERR_NOT_FOUND)
        end(k, "failed", "its execution is not in the history any more");
    else
        try_again(k, e->text, 0);
    pump(all);
}

static void begin(struct callback *k)
{
    if (k->user->removed) {
        end(k, "failed", "the user was removed");
        return;
    }
    k->all->n_calls++;
    k->user->n_calls++;
    k->state = READING;
    k->query = store_read_record_short(k->all->hub->store, &k->execution_id, &k->user->id,
                                       MAX_TEXT_BYTES, on_record, k);
}

/* ---- whose turn it is ---- */

static int on_timer(struct loop *loop, int timer, void *arg)
{
    struct callbacks *all = arg;
    all->timer = -1;
    pump(all);
    return 0;
}

static void arm(struct callbacks *all, int64_t due_us)
{
    if (all->timer >= 0)
        loop_timer_end(all->hub->loop, all->timer);
    all->timer = -1;
    if (due_us == INT64_MAX)
        return;
    int64_t wait_ms = (due_us - hub_unix_us()) / 1000 + 1;
    all->timer = loop_timer(all->hub->loop, (size_t)(wait_ms > 1 ? wait_ms : 1), on_timer, all);
}

/* The next one that may be called now: the one that is due for the longest. *ret_due: when to look again. */
static struct callback *pick(struct callbacks *all, int64_t *ret_due)
{
    struct callback *first = NULL;
    int64_t now = hub_unix_us();
    *ret_due = INT64_MAX;
    for (struct callback *k = zhashx_first(all->open); k; k = zhashx_next(all->open)) {
        if (k->state != DUE)
            continue;
        if (k->next_us > now)
            *ret_due = k->next_us < *ret_due ? k->next_us : *ret_due;
        else if (k->user->n_calls < MAX_CALLS_OF_USER && (!first || k->next_us < first->next_us))
            first = k;
    }
    return all->n_calls < MAX_CALLS ? first : NULL;
}

static void pump(struct callbacks *all)
{
    int64_t due;
    struct callback *k;
    while ((k = pick(all, &due)) != NULL)
        begin(k);
    arm(all, due);
}

/* ---- from outside ---- */

void callback_renew_secret(struct hub *h, struct user *u)
{
    u->callback_generation++;
    user_save_row(h, u);
    log_info("event=callback_secret_renewed user=%s", u->name);
}

int callback_check(const struct hub *h, const struct user *u, const char *url, struct err *e)
{
    if (callback_url_check(slice_str(url), &h->callbacks->policy, e) < 0)
        return -1;
    if (u->n_callbacks >= CALLBACK_MAX_OPEN)
        return err_set(e, ERR_QUOTA, "%u callbacks are not delivered yet, the limit",
                       u->n_callbacks);
    return 0;
}

static struct callback *make(struct callbacks *all, struct user *u, int64_t feed,
                             const struct uuid *execution_id, const char *url)
{
    struct callback *k = calloc(1, sizeof *k);
    if (!k || !(k->url = strdup(url)))
        abort();
    k->all = all;
    k->user = u;
    k->feed = feed;
    k->execution_id = *execution_id;
    (void)snprintf(k->key, sizeof k->key, "%lld", (long long)feed);
    u->n_callbacks++;
    return k;
}

struct callback *callback_new(struct hub *h, struct user *u, int64_t feed,
                              const struct uuid *execution_id, const char *url)
{
    struct callback *k = make(h->callbacks, u, feed, execution_id, url);
    k->message_id = uuid_new();
    struct callback_row row = { .feed = feed,
                                .execution_id = *execution_id,
                                .user_id = u->id,
                                .message_id = k->message_id,
                                .url = url,
                                .status = "pending" };
    store_add_callback(h->store, &row);
    return k;
}

void callback_begin(struct callback *k)
{
    zhashx_insert(k->all->open, k->key, k);
}

void callback_drop(struct callback *k)
{
    if (!k)
        return;
    k->user->n_callbacks--;
    free_callback((void **)&k);
}

void callback_execution_ended(struct hub *h, int64_t feed)
{
    char key[24];
    if (!h->callbacks || zhashx_size(h->callbacks->open) == 0)
        return;
    (void)snprintf(key, sizeof key, "%lld", (long long)feed);
    struct callback *k = zhashx_lookup(h->callbacks->open, key);
    if (!k || k->state != WAITING)
        return;
    k->state = DUE;
    arm(h->callbacks, 0); /* not from within the end of an execution */
}

static void load(void *arg, const struct callback_row *r, bool ended)
{
    struct callbacks *all = arg;
    struct user *u = zhashx_lookup(all->hub->users, r->user_id.text);
    if (!u)
        return;
    struct callback *k = make(all, u, r->feed, &r->execution_id, r->url);
    k->message_id = r->message_id;
    k->attempts = r->attempts;
    k->next_us = r->next_us;
    k->first_us = r->first_us;
    k->state = ended ? DUE : WAITING;
    callback_begin(k);
}

int callbacks_new(struct hub *h, struct callbacks **ret, struct err *e)
{
    char path[300];
    struct network_policy policy;
    if (network_policy_parse(&policy, config_text(h->config, CONFIG_COURIER_ALLOW),
                             config_flag(h->config, CONFIG_COURIER_ALLOW_PRIVATE), e) < 0)
        return err_in(e, "courier/allow");
    struct callbacks *all = calloc(1, sizeof *all);
    if (!all)
        abort();
    (void)snprintf(path, sizeof path, "%s/courier.sock", config_text(h->config, CONFIG_PATHS_RUN));
    *all = (struct callbacks){
        .hub = h,
        .policy = policy,
        .courier = courier_client_new(h->loop, path),
        .open = zhashx_new(),
        .timer = -1,
        .plan = { .first_us = 1000 * config_number(h->config, CONFIG_COURIER_FIRST_RETRY),
                  .max_attempts = (unsigned)config_number(h->config, CONFIG_COURIER_MAX_ATTEMPTS) },
        .total = metric_counter_new("kernelhub_callbacks_total",
                                    "Callbacks that were delivered, failed for good, or are tried "
                                    "again.",
                                    "result", NULL),
    };
    zhashx_set_destructor(all->open, free_callback);
    *ret = all; /* also when it cannot be filled: hub_free frees it */
    if (store_load_callbacks(h->store, load, all, e) < 0)
        return -1;
    arm(all, 0);
    return 0;
}

void callbacks_free(struct callbacks *c)
{
    if (!c)
        return;
    arm(c, INT64_MAX);
    courier_client_free(c->courier);
    zhashx_destroy(&c->open);
    metric_counter_free(c->total);
    free(c);
}

void callbacks_write_metrics(const struct callbacks *c, struct buf *out)
{
    metric_counter_write(c->total, out);
    metric_gauge_write(out, "kernelhub_callbacks_open", "Callbacks that are not delivered yet.",
                       (double)zhashx_size(c->open));
    metric_gauge_write(out, "kernelhub_callbacks_calling", "Callbacks that are being made.",
                       c->n_calls);
}
