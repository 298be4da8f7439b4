#include "kernelhub/hub.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "kernelhub/callback_internal.h"
#include "kernelhub/catalog.h"
#include "kernelhub/changes.h"
#include "kernelhub/ended.h"
#include "kernelhub/execution_internal.h"
#include "kernelhub/files_internal.h"
#include "kernelhub/keeper_client.h"
#include "kernelhub/link_client.h"
#include "kernelhub/packages_internal.h"
#include "kernelhub/quota.h"
#include "kernelhub/terminal_internal.h"
#include "kernelhub/user_internal.h"
#include "protocol/jupyter_message.h"

#define ASK_TIMEOUT_MS    30000
#define RETAIN_EVERY_MS   60000
#define MAX_CATALOG_BYTES (2u << 20)

static const double SECONDS[] = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                  0.5,   1,      2.5,   5,    10,    30,   60,  300 };
static const double OVERHEAD[] = {
    0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 1
};

struct loop *hub_loop(const struct hub *h)
{
    return h->loop;
}

struct files *hub_files(struct hub *h)
{
    return h->files;
}

const struct config *hub_config(const struct hub *h)
{
    return h->config;
}

void hub_before_commit(struct hub *h, void (*fn)(void *arg), void *arg)
{
    h->before_commit = fn;
    h->before_commit_arg = arg;
}

void hub_on_files_changed(struct hub *h, files_changed_fn fn, void *arg)
{
    h->files_changed = fn;
    h->files_changed_arg = arg;
}

static void ask(struct hub *h, enum verb verb, keeper_reply_fn done)
{
    struct verb_request r = { .verb = verb };
    keeper_client_ask(h->keeper, &r, ASK_TIMEOUT_MS, done, h);
}

static void pump_all(struct hub *h)
{
    zlistx_t *all = zhashx_values(h->sessions); /* pumping may end a session */
    for (struct session *s = zlistx_first(all); s; s = zlistx_next(all))
        session_pump(s);
    zlistx_destroy(&all);
}

/* So that a hub that comes back can work before the keeper has looked at the images again. */
static void remember_catalog(struct hub *h, struct slice body)
{
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_CATALOG_BYTES);
    buf_add_slice(&text, body);
    if (text.failed)
        log_warning("the catalog is not remembered: it is too big");
    else
        store_queue_setting(h->store, "catalog", text.data);
}

static void recall_catalog(struct hub *h)
{
    struct err e;
    char *text = malloc(MAX_CATALOG_BYTES + 1);
    if (text && store_get_setting(h->store, "catalog", text, MAX_CATALOG_BYTES + 1, &e) == 0 &&
        json_valid(slice_str(text))) {
        catalog_load(h->catalog, slice_str(text));
        h->catalog_is_recalled = true;
    }
    free(text);
}

static void on_images(void *arg, const struct err *e, struct slice body)
{
    struct hub *h = arg;
    if (e) {
        log_warning("keeper gave no images: %s", e->text);
        return;
    }
    catalog_load(h->catalog, body);
    h->catalog_is_recalled = false;
    remember_catalog(h, body);
    pump_all(h);
}

static bool runs_in(struct slice list, const char *id)
{
    struct slice text, state;
    struct json_iter it = json_iter(list);
    while (json_next(&it))
        if (json_member_string(it.value, "sandbox_id", &text) && slice_is(text, id))
            return json_member_string(it.value, "state", &state) && slice_is(state, "running");
    return false;
}

static void on_unknown_destroyed(void *arg, const struct err *e, struct slice body)
{
    if (e)
        log_warning("keeper could not destroy a sandbox: %s", e->text);
}

/* What the keeper has and we do not know (its create was asked for by a hub that died before it could write it down). */
static void destroy_unknown(struct hub *h, struct slice list)
{
    struct slice text;
    struct uuid id;
    struct json_iter it = json_iter(list);
    while (json_next(&it)) {
        if (!json_member_string(it.value, "sandbox_id", &text) || !uuid_parse(text, &id) ||
            zhashx_lookup(h->sandboxes, id.text))
            continue;
        log_warning("sandbox id=%s is not ours: destroyed", id.text);
        struct verb_request r = { .verb = VERB_DESTROY, .sandbox_id = id };
        keeper_client_ask(h->keeper, &r, ASK_TIMEOUT_MS, on_unknown_destroyed, NULL);
    }
}

static void on_list(void *arg, const struct err *e, struct slice body)
{
    struct hub *h = arg;
    struct slice list = { 0 };
    if (e || !json_member(body, "sandboxes", &list)) {
        log_warning("keeper gave no list: %s", e ? e->text : "no 'sandboxes' in it");
        return;
    }
    zlistx_t *all = zhashx_values(h->sandboxes);
    for (struct sandbox *s = zlistx_first(all); s; s = zlistx_next(all))
        sandbox_confirm(s, runs_in(list, s->id.text));
    zlistx_destroy(&all);
    destroy_unknown(h, list);
}

static void on_new_boot(void *arg)
{
    struct hub *h = arg;
    zlistx_t *all = zhashx_values(h->sandboxes);
    for (struct sandbox *s = zlistx_first(all); s; s = zlistx_next(all))
        if (s->state != SANDBOX_CREATING)
            sandbox_end(s, CAUSE_LOST, ERR_GONE, "the host was started anew", STATUS_LOST);
    zlistx_destroy(&all);
}

static void on_keeper(void *arg)
{
    struct hub *h = arg;
    log_info("keeper connected");
    ask(h, VERB_IMAGES, on_images);
    ask(h, VERB_LIST, on_list);
}

static void on_keeper_event(void *arg, const char *event, struct slice body)
{
    struct hub *h = arg;
    struct slice text;
    struct uuid id;
    if (strcmp(event, "images") == 0) {
        ask(h, VERB_IMAGES, on_images);
    } else if (strcmp(event, "exited") == 0 && json_member_string(body, "sandbox_id", &text) &&
               uuid_parse(text, &id)) {
        struct sandbox *s = zhashx_lookup(h->sandboxes, id.text);
        if (s)
            sandbox_exited(s, body);
    }
}

static int on_patience_over(struct loop *loop, int timer, void *arg)
{
    pump_all(arg);
    return 0;
}

static int on_retain(struct loop *loop, int timer, void *arg)
{
    struct hub *h = arg;
    struct store_retention r = { .max_executions =
                                     config_number(h->config, CONFIG_HISTORY_MAX_EXECUTIONS),
                                 .max_days = config_number(h->config, CONFIG_HISTORY_MAX_DAYS),
                                 .max_bytes = config_number(h->config, CONFIG_HISTORY_MAX_BYTES) };
    store_retain(h->store, &r);
    h->retain_timer = loop_timer(loop, RETAIN_EVERY_MS, on_retain, h);
    return 0;
}

static void load_sandbox(void *arg, const struct sandbox_row *r)
{
    (void)sandbox_recover(
        arg, r); /* NULL: its user is gone; the keeper's list will show it as not ours */
}

static void load_unremoved(void *arg, const struct sandbox_row *r)
{
    sandbox_end_again(arg, &r->id, &r->user_id);
}

static void load_ended(void *arg, const struct sandbox_row *r)
{
    struct hub *h = arg;
    ended_add(h->ended, &r->id, &r->user_id, r->name ? r->name : "", r->ended_us,
              r->end_reason ? r->end_reason : "it ended");
}

static void load_session(void *arg, const struct session_row *r)
{
    (void)session_recover(arg, r);
}

static void load_execution(void *arg, const struct execution_row *r, uint64_t last_seq)
{
    if (!execution_recover(arg, r, last_seq))
        log_warning("execution %s has lost its user", r->id.text);
}

/* What ran in a sandbox that the store knows to be gone; and what was accepted while its session was being ended, by a hub that
 * died before it could say so. */
static void end_unreachable(struct hub *h)
{
    zlistx_t *all = zhashx_values(h->executions);
    for (struct execution *x = zlistx_first(all); x; x = zlistx_next(all)) {
        const struct session *s = x->session;
        if (s && (s->running != x || s->sandbox))
            continue;
        struct outcome outcome = { x->epoch[0] ? STATUS_LOST : STATUS_CANCELLED, OUTCOME_NO_CODE,
                                   s ? "its sandbox was gone when the service came back"
                                     : "its session had ended when the service came back" };
        execution_finish(x, outcome, NULL, NULL, (struct store_mark){ .number = 0 });
    }
    zlistx_destroy(&all);
}

static int recover(struct hub *h, struct err *e)
{
    if (store_load_ended_sandboxes(h->store, ENDED_MAX, load_ended, h, e) < 0 ||
        store_load_unremoved_sandboxes(h->store, load_unremoved, h, e) < 0 ||
        store_load_sandboxes(h->store, load_sandbox, h, e) < 0 ||
        store_load_sessions(h->store, load_session, h, e) < 0 ||
        store_load_executions(h->store, load_execution, h, e) < 0)
        return -1;
    end_unreachable(h);
    zlistx_t *all = zhashx_values(h->sessions);
    for (struct session *s = zlistx_first(all); s; s = zlistx_next(all))
        if (uuid_is_set(&s->home) && !session_home(s))
            session_close(s, "its sandbox was gone when the service came back");
    zlistx_destroy(&all);
    /* whose one execution was never written down, or has ended */
    for (struct session *s = zhashx_first(h->sessions); s; s = zhashx_next(h->sessions))
        if (s->ephemeral && !s->running && zlistx_size(s->queue) == 0)
            session_retire(s);
    return 0;
}

static void make_metrics(struct hub *h)
{
    h->executions_total =
        metric_counter_new("kernelhub_executions_total",
                           "Executions that ended, by status and language.", "status", "language");
    h->kernel_starts_total =
        metric_counter_new("kernelhub_kernel_starts_total",
                           "Kernel starts, by result and language.", "result", "language");
    h->sandboxes_ended_total = metric_counter_new(
        "kernelhub_sandboxes_ended_total", "Sandboxes that ended, by reason.", "reason", NULL);
    h->installs_total = metric_counter_new(
        "kernelhub_package_installs_total",
        "Installs of packages that ended, by status and language.", "status", "language");
    h->execution_seconds =
        metric_histogram_new("kernelhub_execution_seconds", "Time a kernel spent on an execution.",
                             SECONDS, ARRAY_LEN(SECONDS));
    h->overhead_seconds = metric_histogram_new(
        "kernelhub_overhead_seconds",
        "Time from sending an execution to its end, less the warden's measure of it.", OVERHEAD,
        ARRAY_LEN(OVERHEAD));
    h->start_seconds = metric_histogram_new(
        "kernelhub_kernel_start_seconds",
        "Time until a kernel was ready, its sandbox included when it had to be made.", SECONDS,
        ARRAY_LEN(SECONDS));
}

static int watch_changes(struct hub *h, struct err *e)
{
    int64_t max = config_number(h->config, CONFIG_LIMITS_FOLDERS);
    return max == 0 ? 0
                    : changes_new(h->loop, config_text(h->config, CONFIG_PATHS_STATE), (size_t)max,
                                  &h->changes, e);
}

DEFINE_CLEANUP(struct hub, hub_free)

int hub_new(const struct config *config, struct loop *loop, char *ret_admin_key, size_t size,
            struct hub **ret, struct err *e)
{
    char path[300];
    CLEANUP(hub_free) struct hub *h = calloc(1, sizeof *h);
    if (!h || sodium_init() < 0)
        return err_set(e, ERR_INTERNAL, "no memory or no random numbers");
    h->config = config;
    h->loop = loop;
    h->link_epoll = -1;
    h->retain_timer = h->lease_timer = h->spare_timer = -1;
    h->ended = ended_new();
    h->started_us = hub_unix_us();
    memcpy(h->session_id, uuid_new().text, sizeof h->session_id);
    h->sandboxes = zhashx_new();
    h->sessions = zhashx_new();
    h->kernels = zhashx_new();
    h->jupyter_kernels = zhashx_new();
    h->executions = zhashx_new();
    h->submitted = zhashx_new();
    h->terminals = zhashx_new();
    h->dead_terminals = zlistx_new();
    user_tables_new(h);
    make_metrics(h);
    h->catalog = catalog_new(config);
    (void)snprintf(path, sizeof path, "%s/hub", config_text(config, CONFIG_PATHS_STATE));
    if (store_open(path, loop, &h->store, e) < 0 || users_load(h, ret_admin_key, size, e) < 0 ||
        link_clients_open(h, e) < 0 || watch_changes(h, e) < 0 ||
        files_new(loop, config_text(config, CONFIG_PATHS_STATE), &h->files, e) < 0 ||
        quota_new(h, &h->quota, e) < 0)
        return -1;
    h->packages = packages_new(h);
    files_set_changes(h->files, h->changes);
    (void)snprintf(path, sizeof path, "%s/keeper.sock", config_text(config, CONFIG_PATHS_RUN));
    h->keeper = keeper_client_new(
        loop, path, (struct keeper_events){ on_keeper, on_new_boot, on_keeper_event, h });
    recall_catalog(h);
    if (recover(h, e) < 0 || callbacks_new(h, &h->callbacks, e) < 0)
        return -1;
    h->patience_timer = loop_timer(loop, HUB_CATALOG_PATIENCE_MS + 100, on_patience_over, h);
    h->retain_timer = loop_timer(loop, RETAIN_EVERY_MS, on_retain, h);
    *ret = TAKE(h);
    return 0;
}

void hub_free(struct hub *h)
{
    if (!h)
        return;
    keeper_client_free(h->keeper);
    quota_stop(h->quota);
    files_free(h->files);
    packages_free(h->packages);
    for (struct sandbox *s = zhashx_first(h->sandboxes); s; s = zhashx_next(h->sandboxes))
        sandbox_free(s);
    callbacks_free(TAKE(h->callbacks));
    if (h->store)
        store_close(h->store);
    for (struct execution *x = zhashx_first(h->executions); x; x = zhashx_next(h->executions))
        execution_free(x);
    for (struct execution *x = zhashx_first(h->submitted); x; x = zhashx_next(h->submitted))
        execution_free(x);
    quota_free(h->quota);
    changes_free(h->changes);
    for (struct session *s = zhashx_first(h->sessions); s; s = zhashx_next(h->sessions))
        session_free(s);
    for (struct terminal *t = zhashx_first(h->terminals); t; t = zhashx_next(h->terminals))
        terminal_free(t);
    for (struct terminal *t = zlistx_first(h->dead_terminals); t;
         t = zlistx_next(h->dead_terminals))
        terminal_free(t);
    zhashx_destroy(&h->terminals);
    zlistx_destroy(&h->dead_terminals);
    zhashx_destroy(&h->executions);
    zhashx_destroy(&h->submitted);
    zhashx_destroy(&h->sessions);
    zhashx_destroy(&h->kernels);
    zhashx_destroy(&h->jupyter_kernels);
    zhashx_destroy(&h->sandboxes);
    zhashx_destroy(&h->users);
    zhashx_destroy(&h->keys);
    ended_free(h->ended);
    if (h->lease_timer >= 0)
        loop_timer_end(h->loop, h->lease_timer);
    catalog_free(h->catalog);
    link_clients_close(h);
    if (h->spare_timer >= 0)
        loop_timer_end(h->loop, h->spare_timer);
    if (h->retain_timer >= 0) {
        loop_timer_end(h->loop, h->retain_timer);
        loop_timer_end(h->loop, h->patience_timer); /* over already: nothing to end */
    }
    metric_counter_free(h->executions_total);
    metric_counter_free(h->kernel_starts_total);
    metric_counter_free(h->sandboxes_ended_total);
    metric_counter_free(h->installs_total);
    metric_histogram_free(h->execution_seconds);
    metric_histogram_free(h->overhead_seconds);
    metric_histogram_free(h->start_seconds);
    sodium_memzero(h->key_secret, sizeof h->key_secret);
    free(h);
}

void hub_end_sandboxes_of(struct hub *h, const struct user *u)
{
    zlistx_t *sessions = zhashx_values(h->sessions);
    for (struct session *s = zlistx_first(sessions); s; s = zlistx_next(sessions))
        if (s->user == u)
            session_close(s, "the user was removed");
    zlistx_destroy(&sessions);
    zlistx_t *sandboxes = zhashx_values(h->sandboxes);
    for (struct sandbox *s = zlistx_first(sandboxes); s; s = zlistx_next(sandboxes))
        if (s->user == u)
            sandbox_end(s, CAUSE_DELETED, ERR_GONE, "the user was removed", STATUS_LOST);
    zlistx_destroy(&sandboxes);
}

static void write_check(struct buf *out, const char *comma, const char *name, bool good,
                        const char *text)
{
    buf_addf(out, "%s\"%s\":{\"status\":\"%s\",\"message\":", comma, name, good ? "ok" : "failing");
    json_quote_str(out, good ? NULL : text);
    buf_add_char(out, '}');
}

void hub_write_health(struct hub *h, struct buf *out, bool *ret_healthy)
{
    char why[200] = "", ts[28];
    bool store = store_healthy(h->store, why, sizeof why),
         keeper = keeper_client_connected(h->keeper);
    bool images = !catalog_is_empty(h->catalog);
    *ret_healthy = store && keeper && images;
    jupyter_format_time(hub_unix_us(), ts);
    buf_addf(out,
             "{\"status\":\"%s\",\"version\":\"" KH_VERSION "\",\"timestamp\":\"%s\",\"checks\":{",
             *ret_healthy ? "healthy" : "unhealthy", ts);
    write_check(out, "", "store", store, why);
    write_check(out, ",", "keeper", keeper, "the keeper does not answer");
    write_check(out, ",", "images", images,
                "no image with kernels is there: build one with 'kernelhub image build slim'");
    buf_add_str(out, "}}");
}

void hub_write_languages(struct hub *h, const struct user *u, struct buf *out)
{
    catalog_write_languages(h->catalog, out);
}

void hub_write_images(struct hub *h, const struct user *u, struct buf *out)
{
    catalog_write_images(h->catalog, out);
}

/* All states, also those that none is in: a graph needs its zeros. */
static void write_sandbox_metrics(struct hub *h, struct buf *out)
{
    struct metric_counter *gauge =
        metric_gauge_new("kernelhub_sandboxes", "Sandboxes that exist, by state.", "state", NULL);
    for (enum sandbox_state state = SANDBOX_RECOVERED; state < SANDBOX_GONE; state++)
        metric_counter_add(gauge, sandbox_state_name(state), NULL, 0);
    for (struct sandbox *s = zhashx_first(h->sandboxes); s; s = zhashx_next(h->sandboxes))
        metric_counter_add(gauge, sandbox_state_name(s->state), NULL, 1);
    metric_counter_write(gauge, out);
    metric_counter_free(gauge);
}

void hub_write_metrics(struct hub *h, struct buf *out)
{
    unsigned sessions = 0, kernels = 0, commands = 0, queued = 0, running = 0, waiting = 0;
    for (struct session *s = zhashx_first(h->sessions); s; s = zhashx_next(h->sessions)) {
        sessions += !s->is_command;
        commands += s->is_command;
        kernels += s->kernel == KERNEL_READY && !s->is_command;
        queued += (unsigned)zlistx_size(s->queue);
        running += s->running != NULL;
        waiting += s->running && s->running->status == STATUS_WAITING_INPUT;
    }
    write_sandbox_metrics(h, out);
    metric_gauge_write(out, "kernelhub_sessions", "Sessions that are open.", sessions);
    metric_gauge_write(out, "kernelhub_commands", "Commands that run or wait for their sandbox.",
                       commands);
    metric_gauge_write(out, "kernelhub_kernels", "Kernels that are ready.", kernels);
    metric_gauge_write(out, "kernelhub_terminals", "Terminals that are open.",
                       (double)zhashx_size(h->terminals));
    metric_gauge_write(out, "kernelhub_executions_running", "Executions that run.", running);
    metric_gauge_write(out, "kernelhub_executions_waiting_input",
                       "Executions that run and wait for input.", waiting);
    metric_gauge_write(out, "kernelhub_executions_queued", "Executions that wait in their session.",
                       queued);
    metric_gauge_write(out, "kernelhub_start_time_seconds", "When this hub was started, unix time.",
                       (double)h->started_us / 1e6);
    metric_counter_write(h->executions_total, out);
    metric_counter_write(h->kernel_starts_total, out);
    metric_counter_write(h->sandboxes_ended_total, out);
    metric_counter_write(h->installs_total, out);
    metric_histogram_write(h->execution_seconds, out);
    metric_histogram_write(h->overhead_seconds, out);
    metric_histogram_write(h->start_seconds, out);
    callbacks_write_metrics(h->callbacks, out);
    store_write_metrics(h->store, out);
}
