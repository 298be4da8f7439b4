#include "kernelhub/sandbox.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "kernelhub/catalog.h"
#include "kernelhub/changes.h"
#include "kernelhub/keeper_client.h"
#include "kernelhub/quota.h"
#include "kernelhub/link_client.h"
#include "kernelhub/session_internal.h"
#include "kernelhub/terminal_internal.h"
#include "kernelhub/wait.h"

#define CREATE_TIMEOUT_MS 60000
#define HELLO_TIMEOUT_MS  10000
#define RECONNECT_MS      50
#define MAX_RECORD_BYTES  (32u << 20)
#define MAX_OPTIONS_BYTES (32u << 20) /* env and labels were bounded on their way in */

static const char *const STATES[] = {
    [SANDBOX_RECOVERED] = "recovering",  [SANDBOX_CREATING] = "creating",
    [SANDBOX_CONNECTING] = "connecting", [SANDBOX_UP] = "running",
    [SANDBOX_RESETTING] = "resetting",   [SANDBOX_GONE] = "gone",
};

const char *sandbox_state_name(enum sandbox_state state)
{
    return STATES[state];
}

static void on_frame(void *arg, const struct link_frame *f);
static void on_closed(void *arg, const char *why, bool broke_rules);

void sandbox_save_ended(const struct sandbox *s, int64_t ended_us, const char *reason)
{
    CLEANUP_BUF struct buf options = BUF_INIT(MAX_OPTIONS_BYTES);
    sandbox_write_options(s, &options);
    struct sandbox_row row = {
        .id = s->id,
        .user_id = s->user->id,
        .name = s->name,
        .template_name = s->template_name,
        .image = s->image,
        .digest = s->digest,
        .epoch = s->epoch[0] ? s->epoch : NULL,
        .last_number = s->last_number,
        .created_us = s->created_us,
        .ended_us = ended_us,
        .end_reason = reason,
        .options = options.data,
        .workspace = s->private_workspace ? "private" : "shared",
        .used_us = s->lease.used_us,
    };
    store_put_sandbox(s->hub->store, &row, NULL, NULL);
}

void sandbox_save(const struct sandbox *s)
{
    assert(s->state != SANDBOX_GONE); /* its row says when and why it ended */
    sandbox_save_ended(s, 0, NULL);
}

void sandbox_note(struct sandbox *s, const char *event, struct slice text)
{
    journal_add(s->journal, hub_unix_us(), event, text);
}

static void stop_timer(struct sandbox *s)
{
    if (s->timer >= 0)
        loop_timer_end(s->hub->loop, s->timer);
    s->timer = -1;
}

static int on_deadline(struct loop *loop, int timer, void *arg)
{
    struct sandbox *s = arg;
    s->timer = -1;
    sandbox_end(s, CAUSE_FAILED, ERR_TIMEOUT,
                s->state == SANDBOX_CONNECTING ? "the sandbox's warden did not answer in time"
                                               : "the sandbox was not made in time",
                STATUS_LOST);
    return 0;
}

void sandbox_enter(struct sandbox *s, enum sandbox_state state, int deadline_ms)
{
    stop_timer(s);
    s->state = state;
    if (deadline_ms)
        s->timer = loop_timer(s->hub->loop, (size_t)deadline_ms, on_deadline, s);
}

void sandbox_new_link(struct sandbox *s)
{
    link_client_free(s->link);
    s->link = link_client_new(s->hub, (struct link_handler){ on_frame, on_closed, s });
    s->generation++;
}

static struct sandbox *make(struct hub *h, struct user *u, const struct uuid *id, const char *name,
                            const char *template_name)
{
    const struct config *c = h->config;
    struct sandbox *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->hub = h;
    s->user = u;
    s->id = *id;
    s->timer = s->retry_timer = s->watch_timer = -1;
    (void)snprintf(s->name, sizeof s->name, "%s", name);
    (void)snprintf(s->template_name, sizeof s->template_name, "%s", template_name);
    s->limits =
        (struct verb_limits){ .memory_bytes = config_number(c, CONFIG_LIMITS_MEMORY),
                              .cpus = (double)config_number(c, CONFIG_LIMITS_CPUS) / 1000.0,
                              .pids = config_number(c, CONFIG_LIMITS_PIDS),
                              .workspace_bytes = config_number(c, CONFIG_LIMITS_WORKSPACE) };
    s->lease.idle_seconds = config_number(c, CONFIG_SANDBOX_IDLE);
    s->lease.ttl_seconds = config_number(c, CONFIG_LIMITS_TTL);
    s->used_by = SANDBOX_CALLED;
    s->waits = wait_list_new();
    s->journal = journal_new();
    s->samples = wait_list_new();
    s->sample_timer = -1;
    sandbox_new_link(s);
    zhashx_insert(h->sandboxes, s->id.text, s);
    return s;
}

void sandbox_free(struct sandbox *s)
{
    stop_timer(s);
    if (s->retry_timer >= 0)
        loop_timer_end(s->hub->loop, s->retry_timer);
    sandbox_watch_stop(s);
    link_client_free(s->link);
    if (s->sample_timer >= 0)
        loop_timer_end(s->hub->loop, s->sample_timer);
    wait_list_free(&s->waits);
    wait_list_free(&s->samples);
    journal_free(s->journal);
    changes_unwatch(s->watched);
    if (s->is_metered)
        quota_leave(s->hub->quota, s->user);
    free(s->env);
    free(s->labels);
    free(s);
}

static int on_reconnect(struct loop *loop, int timer, void *arg)
{
    struct sandbox *s = arg;
    s->retry_timer = -1;
    if (s->state == SANDBOX_UP || s->state == SANDBOX_CONNECTING)
        sandbox_connect(s);
    return 0;
}

/* Now, so that every folder has its watch before the first kernel is ready. */
static void watch_workspace(struct sandbox *s)
{
    char path[96];
    if (s->private_workspace)
        (void)snprintf(path, sizeof path, "%s/private-%s", s->user->id.text, s->id.text);
    else
        (void)snprintf(path, sizeof path, "%s/shared", s->user->id.text);
    if (!s->watched)
        s->watched = changes_watch(s->hub->changes, path);
    if (!s->is_metered)
        quota_enter(s->hub->quota, s->user);
    s->is_metered = true;
}

void sandbox_connect(struct sandbox *s)
{
    struct err e;
    char path[200];
    (void)snprintf(path, sizeof path, "%s/sandboxes/%s/link.sock",
                   config_text(s->hub->config, CONFIG_PATHS_RUN), s->id.text);
    if (s->state != SANDBOX_CONNECTING)
        sandbox_enter(s, SANDBOX_CONNECTING, HELLO_TIMEOUT_MS);
    watch_workspace(s);
    if (link_client_connect(s->link, path, s->epoch, &e) == 0)
        return;
    log_debug("sandbox id=%s: %s", s->id.text, e.text);
    if (s->retry_timer < 0) /* for as long as the state's own deadline lasts */
        s->retry_timer = loop_timer(s->hub->loop, RECONNECT_MS, on_reconnect, s);
}

/* The sandbox may be gone when the keeper answers: it is found by its id. */
struct ticket {
    struct hub *hub;
    struct uuid id;
};

static void on_created(void *arg, const struct err *e, struct slice body)
{
    struct ticket *ticket = arg;
    struct sandbox *s = zhashx_lookup(ticket->hub->sandboxes, ticket->id.text);
    free(ticket);
    if (!s || s->state != SANDBOX_CREATING)
        return;
    if (e) {
        sandbox_end(s, CAUSE_FAILED, e->code == ERR_INTERNAL ? ERR_SANDBOX : e->code, e->text,
                    STATUS_LOST);
        return;
    }
    struct slice v;
    if (json_member_string(body, "image", &v))
        (void)json_copy_string(v, s->image, sizeof s->image);
    if (json_member_string(body, "digest", &v))
        (void)json_copy_string(v, s->digest, sizeof s->digest);
    if (json_member(body, "phases", &v) && v.len < sizeof s->phases) {
        memcpy(s->phases, v.data, v.len);
        s->phases[v.len] = '\0'; /* those of the container before a reset may have been longer */
    }
    sandbox_connect(s);
}

static void ask_keeper(struct sandbox *s)
{
    struct verb_request r = {
        .verb = VERB_CREATE,
        .sandbox_id = s->id,
        .private_workspace = s->private_workspace,
        .limits = s->limits,
    };
    memcpy(r.user_id, s->user->id.text, sizeof r.user_id);
    memcpy(r.template_name, s->template_name, sizeof r.template_name);
    struct ticket *ticket = calloc(1, sizeof *ticket);
    if (!ticket)
        abort();
    *ticket = (struct ticket){ s->hub, s->id };
    keeper_client_ask_owning(s->hub->keeper, &r, CREATE_TIMEOUT_MS, on_created, ticket);
}

/* The keeper makes one sandbox of an id, however often it is asked. */
void sandbox_ask(struct sandbox *s)
{
    sandbox_enter(s, SANDBOX_CREATING, CREATE_TIMEOUT_MS + 1000);
    ask_keeper(s);
}

struct sandbox *sandbox_by_name(struct hub *h, const struct user *u, const char *name)
{
    for (struct sandbox *s = zhashx_first(h->sandboxes); s; s = zhashx_next(h->sandboxes))
        if (s->user == u && strcmp(s->name, name) == 0)
            return s;
    return NULL;
}

bool sandbox_is_default(const struct sandbox *s)
{
    return strcmp(s->name, SANDBOX_DEFAULT) == 0 || strcmp(s->name, s->template_name) == 0;
}

static int check_room(struct hub *h, const struct user *u, struct err *e)
{
    int64_t max = config_number(h->config, CONFIG_LIMITS_SANDBOXES), n = 0,
            max_of_user = config_number(h->config, CONFIG_LIMITS_USER_SANDBOXES);
    for (struct sandbox *s = zhashx_first(h->sandboxes); s; s = zhashx_next(h->sandboxes))
        n += s->user == u;
    if (n >= max_of_user)
        return err_set(e, ERR_QUOTA,
                       "you have %lld sandboxes, the limit (limits/max_user_sandboxes)",
                       (long long)n);
    if ((int64_t)zhashx_size(h->sandboxes) >= max)
        return err_set(e, ERR_QUOTA,
                       "%lld sandboxes run, the limit of this service (limits/max_sandboxes)",
                       (long long)max);
    return 0;
}

int sandbox_new(struct hub *h, struct user *u, const char *name, const char *template_name,
                struct sandbox **ret, struct err *e)
{
    if (check_room(h, u, e) < 0)
        return -1;
    struct uuid id = uuid_new();
    *ret = make(h, u, &id, name, template_name);
    (*ret)->created_us = (*ret)->lease.begun_us = (*ret)->lease.used_us = hub_unix_us();
    return 0;
}

void sandbox_begin(struct sandbox *s)
{
    s->asked_us = hub_mono_us();
    sandbox_save(s);
    log_info("sandbox asked for id=%s user=%s template=%s", s->id.text,
             log_quote(slice_str(s->user->name)), s->template_name);
    sandbox_note(s, "asked_for", slice_str(s->template_name));
    sandbox_lease_changed(s);
    sandbox_ask(s);
}

/* The user's `default` one, unless the default template has changed since it was made for want of another: then it keeps
 * running under its template's name. */
static struct sandbox *present_default(struct hub *h, const struct user *u)
{
    struct sandbox *s = sandbox_by_name(h, u, SANDBOX_DEFAULT);
    if (!s || !s->implicit || catalog_is_empty(h->catalog) ||
        strcmp(s->template_name, catalog_default_template(h->catalog)) == 0 ||
        sandbox_by_name(h, u, s->template_name))
        return s;
    (void)snprintf(s->name, sizeof s->name, "%s", s->template_name);
    sandbox_save(s);
    return NULL;
}

const char *sandbox_default_template(struct hub *h, const struct user *u)
{
    const struct sandbox *s = present_default(h, u);
    return s ? s->template_name : NULL;
}

int sandbox_get(struct hub *h, struct user *u, const char *template_name, struct sandbox **ret,
                struct err *e)
{
    struct sandbox *s = present_default(h, u);
    if (s && strcmp(s->template_name, template_name) == 0) {
        *ret = s;
        return 0;
    }
    bool first = !s && strcmp(template_name, catalog_default_template(h->catalog)) == 0;
    const char *name = first ? SANDBOX_DEFAULT : template_name;
    s = sandbox_by_name(h, u, name);
    if (s && strcmp(s->template_name, template_name) != 0)
        return err_set(e, ERR_CONFLICT, "sandbox '%s' is of template '%s', not of '%s'", name,
                       s->template_name, template_name);
    if (s) {
        *ret = s;
        return 0;
    }
    if (sandbox_new(h, u, name, template_name, ret, e) < 0)
        return -1;
    (*ret)->implicit = true;
    sandbox_begin(*ret);
    return 0;
}

struct sandbox *sandbox_recover(struct hub *h, const struct sandbox_row *r)
{
    struct user *u = zhashx_lookup(h->users, r->user_id.text);
    if (!u)
        return NULL;
    struct sandbox *s = make(h, u, &r->id, r->name ? r->name : SANDBOX_DEFAULT,
                             r->template_name ? r->template_name : "");
    (void)snprintf(s->image, sizeof s->image, "%s", r->image ? r->image : "");
    (void)snprintf(s->digest, sizeof s->digest, "%s", r->digest ? r->digest : "");
    (void)snprintf(s->epoch, sizeof s->epoch, "%s", r->epoch ? r->epoch : "");
    s->last_number = r->last_number;
    link_client_set_seen(s->link, r->last_number);
    s->created_us = s->lease.begun_us = r->created_us;
    s->private_workspace = r->workspace && strcmp(r->workspace, "private") == 0;
    sandbox_read_options(s, slice_str(r->options));
    int64_t now = hub_unix_us(), used = r->used_us + sandbox_note_period_us(s);
    s->noted_us = r->used_us;
    s->lease.used_us = r->used_us && used < now ? used : now; /* rather late than early */
    sandbox_enter(s, SANDBOX_RECOVERED, 0); /* a keeper that is away is no reason to give it up */
    sandbox_note(s, "recovered",
                 SLICE_LITERAL("the service was started again; older lines are not kept"));
    sandbox_lease_changed(s);
    return s;
}

void sandbox_confirm(struct sandbox *s, bool runs)
{
    if (s->state == SANDBOX_RESETTING)
        return; /* what is asked of the keeper is asked again of the next */
    if (s->state == SANDBOX_RECOVERED && s->resetting)
        sandbox_remake(s, "the sandbox was reset"); /* the hub before us died in the middle of it */
    else if (s->state == SANDBOX_RECOVERED && !s->epoch[0])
        sandbox_ask(s); /* the hub before us died while it was made, or before it could ask */
    else if (s->state == SANDBOX_RECOVERED && runs)
        sandbox_connect(s);
    else if (!runs && s->state != SANDBOX_CREATING && s->state != SANDBOX_GONE)
        sandbox_end(s, CAUSE_LOST, ERR_GONE, "the sandbox is gone", STATUS_LOST);
}

static void answer_waits(struct sandbox *s)
{
    CLEANUP_BUF struct buf json = BUF_INIT(MAX_RECORD_BYTES);
    if (zlistx_size(s->waits) == 0)
        return;
    sandbox_write(s, &json);
    wait_list_answer(s->waits, NULL, buf_slice(&json));
}

static bool has_feature(struct slice hello, const char *name)
{
    struct slice list;
    struct json_iter it =
        json_iter(json_member(hello, "features", &list) ? list : slice_of(NULL, 0));
    while (json_next(&it))
        if (json_type(it.value) == JSON_STRING &&
            slice_is(slice_of(it.value.data + 1, it.value.len - 2), name))
            return true;
    return false;
}

/* What is wrong with a warden's hello; NULL: nothing. */
static const char *read_hello(struct sandbox *s, struct slice hello, char ret_epoch[37],
                              int64_t *ret_first)
{
    struct slice v;
    struct uuid id;
    int64_t version = 0;
    *ret_first = 1;
    if (!json_valid(hello) || !json_member_string(hello, "epoch", &v) || !uuid_parse(v, &id) ||
        !json_member_int(hello, "version", &version))
        return "the sandbox's warden said no proper hello";
    memcpy(ret_epoch, id.text, sizeof id.text);
    if (link_choose_version(version, version) != version) {
        (void)snprintf(s->fault, sizeof s->fault,
                       "the sandbox's warden speaks version %lld of the link, this service %d to "
                       "%d: a sandbox made anew will do",
                       (long long)version, LINK_OLDEST_VERSION, LINK_VERSION);
        return s->fault;
    }
    if (!json_member_string(hello, "sandbox_id", &v) || !slice_is(v, s->id.text))
        return "the sandbox's warden says it is another's";
    (void)json_member_int(hello, "first", ret_first); /* absent: 1 */
    return *ret_first > 0 ? NULL : "the sandbox's warden said no proper hello";
}

static void on_hello(struct sandbox *s, const struct link_frame *f)
{
    struct slice hello = f->n_parts ? f->parts[0] : slice_of(NULL, 0);
    char epoch[37];
    int64_t first;
    const char *fault = read_hello(s, hello, epoch, &first);
    if (fault) {
        sandbox_end(s, CAUSE_LOST, ERR_SANDBOX, fault, STATUS_LOST);
        return;
    }
    bool known = s->epoch[0] != '\0', another = known && strcmp(epoch, s->epoch) != 0;
    if (another) {
        log_warning("sandbox id=%s has another warden", s->id.text);
        sandbox_note(s, "another_warden", slice_of(NULL, 0));
        s->last_number = 0;
        s->generation++; /* marks of before are counted in other numbers */
        link_client_new_epoch(s->link);
    }
    if ((uint64_t)first > link_client_seen(s->link) + 1)
        link_client_set_seen(
            s->link, (uint64_t)first - 1); /* what lies between was acknowledged without a commit */
    memcpy(s->epoch, epoch, sizeof s->epoch);
    s->can_exec = has_feature(hello, "exec");
    s->can_terminal = has_feature(hello, "terminal");
    s->heard = true;
    s->resetting = false;
    sandbox_enter(s, SANDBOX_UP, 0);
    if (!known)
        s->begun_us = s->lease.used_us = hub_unix_us(); /* nobody can have used it before */
    sandbox_save(s);
    log_info("sandbox up id=%s phases=%s", s->id.text, s->phases[0] ? s->phases : "-");
    sandbox_note(s, "up", slice_str(s->phases));
    sessions_sandbox_up(s, hello, another);
    terminals_sandbox_up(s, hello, another);
    answer_waits(s);
    sandbox_watch(s);
}

static void on_frame(void *arg, const struct link_frame *f)
{
    struct sandbox *s = arg;
    if (s->state == SANDBOX_CONNECTING && f->type == LINK_HELLO) {
        on_hello(s, f);
        return;
    }
    if (s->state == SANDBOX_UP && f->type == LINK_USAGE)
        sandbox_on_usage(s, f);
    else if (s->state == SANDBOX_UP && !terminal_on_frame(s, f))
        session_on_frame(s, f);
}

static void on_closed(void *arg, const char *why, bool broke_rules)
{
    struct sandbox *s = arg;
    if (s->state != SANDBOX_UP && s->state != SANDBOX_CONNECTING)
        return;
    log_warning("link lost sandbox=%s why=%s", s->id.text, log_quote(slice_str(why)));
    sandbox_note(s, "link_lost", slice_str(why));
    sandbox_fail_samples(s, ERR_UNAVAILABLE, "the sandbox is being reached again: try in a moment");
    if (broke_rules || !sandbox_may_drop(s, hub_mono_us())) {
        sandbox_cut_off(s, broke_rules ? why : "it hangs up again and again");
        return;
    }
    if (s->state == SANDBOX_UP)
        sandbox_enter(s, SANDBOX_CONNECTING, HELLO_TIMEOUT_MS);
    if (s->retry_timer < 0)
        s->retry_timer = loop_timer(s->hub->loop, RECONNECT_MS, on_reconnect, s);
}

void sandbox_exited(struct sandbox *s, struct slice event)
{
    if (s->state == SANDBOX_RESETTING)
        return; /* that is what was asked for */
    struct slice reason = { 0 };
    char *message = json_member_dup(event, "message", 300), text[400];
    (void)json_member_string(event, "reason", &reason);
    enum status status = slice_is(reason, "oom") ? STATUS_OOM
                         : slice_is(reason, "died") || slice_is(reason, "killed")
                             ? STATUS_KERNEL_DIED
                             : STATUS_LOST;
    (void)snprintf(text, sizeof text, "the sandbox ended: %.*s%s%s", (int)reason.len, reason.data,
                   message && *message ? ": " : "", message ? message : "");
    free(message);
    sandbox_end(s, status == STATUS_OOM ? CAUSE_OOM : CAUSE_DIED, ERR_SANDBOX, text, status);
}

void sandbox_send(struct sandbox *s, const struct link_frame *f)
{
    if (s->state != SANDBOX_UP)
        return;
    link_client_send(s->link, f);
    sandbox_watch(s);
}

struct store_mark sandbox_take_mark(struct sandbox *s)
{
    struct store_mark mark = { .number = 0 };
    if (!s || s->state != SANDBOX_UP)
        return mark;
    mark.sandbox_id = s->id;
    mark.generation = s->generation;
    memcpy(mark.epoch.text, s->epoch, sizeof mark.epoch.text);
    mark.number = link_client_take_mark(s->link);
    return mark;
}

/* The sandbox whose warden gave out this mark; NULL: it is gone, or has another warden. */
static struct sandbox *find_marked(struct hub *h, const struct store_mark *mark)
{
    struct sandbox *s =
        uuid_is_set(&mark->sandbox_id) ? zhashx_lookup(h->sandboxes, mark->sandbox_id.text) : NULL;
    return s && mark->generation == s->generation ? s : NULL;
}

void sandbox_committed(struct hub *h, struct store_mark mark)
{
    struct sandbox *s = find_marked(h, &mark);
    if (s)
        link_client_committed(s->link, mark.number);
}

void sandbox_pause(struct hub *h, struct store_mark mark)
{
    struct sandbox *s = find_marked(h, &mark);
    if (s)
        link_client_pause(s->link);
}

void sandbox_resume(struct hub *h, struct store_mark mark)
{
    struct sandbox *s = find_marked(h, &mark);
    if (s)
        link_client_resume(s->link);
}

struct mark_ticket {
    struct hub *hub;
    struct store_mark mark;
};

void *sandbox_mark_ticket(struct hub *h, struct store_mark mark)
{
    struct mark_ticket *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    *t = (struct mark_ticket){ h, mark };
    return t;
}

void sandbox_mark_done(void *ticket)
{
    struct mark_ticket *t = ticket;
    sandbox_committed(t->hub, t->mark);
    free(t);
}
