/* The verbs of sandbox_verbs.h that make, find, change and end. */
#include "kernelhub/sandbox_verbs.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "kernelhub/catalog.h"
#include "kernelhub/ended.h"
#include "kernelhub/sandbox.h"
#include "kernelhub/session_internal.h"
#include "kernelhub/wait.h"

#define MAX_ENV_BYTES    (32 * 1024)  /* with names and quotes; each kernel start carries it */
#define MIN_MEMORY_BYTES (32ll << 20) /* as in the configuration: below, no kernel starts */
#define MIN_PIDS         16
#define MIN_CPUS         0.01

int sandbox_find(struct hub *h, const struct user *u, const char *id_or_name, struct sandbox **ret,
                 struct err *e)
{
    struct sandbox *s = zhashx_lookup(h->sandboxes, id_or_name);
    if (!s || s->user != u)
        s = sandbox_by_name(h, u, id_or_name);
    if (!s)
        return ended_explain(h->ended, &u->id, id_or_name, e);
    *ret = s;
    return 0;
}

int sandbox_find_any(struct hub *h, const char *id, struct sandbox **ret, struct err *e)
{
    *ret = zhashx_lookup(h->sandboxes, id);
    return *ret ? 0
                : err_set(e, ERR_NOT_FOUND, "there is no sandbox %.80s", log_quote(slice_str(id)));
}

int sandbox_named(struct hub *h, const struct user *u, const char *id_or_name, struct sandbox **ret,
                  struct err *e)
{
    *ret = NULL;
    if (!id_or_name)
        return 0;
    if (strcmp(id_or_name, SANDBOX_DEFAULT) == 0) {
        *ret = sandbox_by_name(h, u, SANDBOX_DEFAULT);
        return 0;
    }
    return sandbox_find(h, u, id_or_name, ret, e);
}

static int check_name(struct hub *h, const struct user *u, const char *name,
                      const char *template_name, struct err *e)
{
    struct uuid id;
    size_t n = strlen(name);
    for (const char *at = name; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("._-", *at))
            n = 0;
    if (n == 0 || n > 63 || name[0] == '.' || uuid_parse(slice_str(name), &id))
        return err_set(e, ERR_INVALID,
                       "a sandbox's name is 1 to 63 letters, digits and . _ -, not beginning with "
                       "a dot, and no UUID");
    if (catalog_has_template(h->catalog, name) && strcmp(name, template_name) != 0)
        return err_set(e, ERR_INVALID,
                       "'%s' is the name of a template: it is for that template's sandbox", name);
    const struct sandbox *there = sandbox_by_name(h, u, name);
    if (there)
        return err_set(e, ERR_CONFLICT, "there is a sandbox '%s' already: %s", name,
                       there->id.text);
    return 0;
}

static int choose_template(struct hub *h, const struct sandbox_wish *w, const char **ret,
                           struct err *e)
{
    if (w->template_name && w->image)
        return err_set(e, ERR_INVALID, "name a template or an image, not both");
    if (catalog_is_empty(h->catalog))
        return err_set(
            e, ERR_UNAVAILABLE,
            "no image with kernels is there yet: build one with 'kernelhub image build slim'");
    *ret = w->template_name ? w->template_name
           : w->image       ? catalog_template_of_image(h->catalog, w->image)
                            : catalog_default_template(h->catalog);
    if (!*ret)
        return err_set(e, ERR_INVALID, "there is no image %.80s", log_quote(slice_str(w->image)));
    if (!catalog_has_template(h->catalog, *ret))
        return err_set(e, ERR_INVALID, "there is no template %.80s", log_quote(slice_str(*ret)));
    return 0;
}

/* 0 keeps what is there, which is the maximum. */
static int take_limit(int64_t wanted, int64_t min, const char *name, enum config_key key,
                      int64_t *limit, struct err *e)
{
    if (!wanted)
        return 0;
    if (wanted < min || wanted > *limit)
        return err_set(e, ERR_INVALID, "limits.%s is %lld; it has to be %lld to %lld (%s)", name,
                       (long long)wanted, (long long)min, (long long)*limit, config_name(key));
    *limit = wanted;
    return 0;
}

static int take_limits(const struct sandbox_wish *w, struct verb_limits *l, struct err *e)
{
    if (w->cpus != 0 && !(w->cpus >= MIN_CPUS && w->cpus <= l->cpus))
        return err_set(e, ERR_INVALID, "limits.cpus is %g; it has to be %g to %g (%s)", w->cpus,
                       MIN_CPUS, l->cpus, config_name(CONFIG_LIMITS_CPUS));
    if (w->cpus != 0)
        l->cpus = (double)(int64_t)(w->cpus * 1000 + 0.5) / 1000; /* the verb carries thousandths */
    return take_limit(w->memory_bytes, MIN_MEMORY_BYTES, "memory_bytes", CONFIG_LIMITS_MEMORY,
                      &l->memory_bytes, e) < 0
               ? -1
               : take_limit(w->pids, MIN_PIDS, "pids", CONFIG_LIMITS_PIDS, &l->pids, e);
}

static int take_idle(struct sandbox *s, int64_t seconds, struct err *e)
{
    int64_t max = config_number(s->hub->config, CONFIG_LIMITS_IDLE);
    if (seconds > max)
        return err_set(e, ERR_INVALID, "idle_seconds is %lld; the limit is %lld (%s)",
                       (long long)seconds, (long long)max, config_name(CONFIG_LIMITS_IDLE));
    if (seconds)
        s->lease.idle_seconds = seconds;
    return 0;
}

/* The lease counts from `now`; all of a sandbox's life is bounded. */
static int take_ttl(struct sandbox *s, int64_t seconds, int64_t now_us, struct err *e)
{
    int64_t max = config_number(s->hub->config, CONFIG_LIMITS_TTL);
    if (!seconds)
        return 0;
    if (max && now_us + seconds * 1000000 > s->created_us + max * 1000000)
        return err_set(
            e, ERR_INVALID,
            "ttl_seconds is %lld; a sandbox lives at most %lld s from its creation on (%s)",
            (long long)seconds, (long long)max, config_name(CONFIG_LIMITS_TTL));
    s->lease.ttl_seconds = seconds;
    s->lease.begun_us = now_us;
    return 0;
}

static char *copy(struct slice text)
{
    char *ret = text.len > 2 ? strndup(text.data, text.len) : NULL; /* "{}" is none */
    if (text.len > 2 && !ret)
        abort();
    return ret;
}

static struct wait *refuse(const struct err *e, reply_fn done, void *arg)
{
    done(arg, e, slice_of(NULL, 0));
    return NULL;
}

/* In the table, but nobody was asked for it: it is as if it had never been. */
static void forget(struct sandbox *s)
{
    zhashx_delete(s->hub->sandboxes, s->id.text);
    sandbox_free(s);
}

struct wait *sandbox_create(struct hub *h, struct user *u, const struct sandbox_wish *w,
                            reply_fn done, void *arg)
{
    struct err e = ERR_INIT;
    struct sandbox *s;
    const char *template_name = NULL;
    char made_up[64];
    (void)snprintf(made_up, sizeof made_up, "sandbox-%.8s", uuid_new().text);
    const char *name = w->name ? w->name : made_up;
    if (w->env.len > MAX_ENV_BYTES)
        (void)err_set(&e, ERR_INVALID, "env has %zu bytes; the limit is %d", w->env.len,
                      MAX_ENV_BYTES);
    if (e.code != ERR_NONE || choose_template(h, w, &template_name, &e) < 0 ||
        check_name(h, u, name, template_name, &e) < 0 ||
        sandbox_new(h, u, name, template_name, &s, &e) < 0)
        return refuse(&e, done, arg);
    if (take_limits(w, &s->limits, &e) < 0 || take_idle(s, w->idle_seconds, &e) < 0 ||
        take_ttl(s, w->ttl_seconds, s->created_us, &e) < 0) {
        forget(s);
        return refuse(&e, done, arg);
    }
    s->env = copy(w->env);
    s->labels = copy(w->labels);
    s->private_workspace = w->private_workspace;
    struct wait *wait = wait_new(s->waits, done, arg);
    sandbox_begin(s);
    return zlistx_find(s->waits, wait) ? wait
                                       : NULL; /* answered at once when nobody can be asked */
}

int sandbox_change(struct sandbox *s, const struct sandbox_change *c, struct err *e)
{
    struct lease before = s->lease;
    if (take_idle(s, c->idle_seconds, e) < 0 || take_ttl(s, c->ttl_seconds, hub_unix_us(), e) < 0) {
        s->lease = before;
        return -1;
    }
    if (c->labels.data) {
        free(s->labels);
        s->labels = copy(c->labels);
    }
    sandbox_save(s);
    sandbox_lease_changed(s);
    return 0;
}

struct wait *sandbox_reset(struct sandbox *s, reply_fn done, void *arg)
{
    struct err e;
    if (s->state != SANDBOX_UP && s->state != SANDBOX_CONNECTING) {
        (void)err_set(&e, ERR_BUSY, "the sandbox is %s: try again when it runs",
                      sandbox_state_name(s->state));
        return refuse(&e, done, arg);
    }
    struct wait *wait = wait_new(s->waits, done, arg);
    sandbox_remake(s, "the sandbox was reset");
    return zlistx_find(s->waits, wait) ? wait
                                       : NULL; /* answered at once when nobody can be asked */
}

static void close_sessions(struct sandbox *s, const char *why)
{
    zlistx_t *all = zhashx_values(s->hub->sessions); /* closing takes them out */
    for (struct session *x = zlistx_first(all); x; x = zlistx_next(all))
        if (session_is_of(x, s))
            session_close(x, why);
    zlistx_destroy(&all);
}

/* Another one that sees the shared workspace; NULL: none. */
static const struct sandbox *other_user_of(struct hub *h, const struct user *u,
                                           const struct sandbox *but)
{
    for (struct sandbox *s = zhashx_first(h->sandboxes); s; s = zhashx_next(h->sandboxes))
        if (s->user == u && s != but && !s->private_workspace)
            return s;
    return NULL;
}

struct wait *sandbox_delete_default(struct hub *h, struct user *u, bool purge, reply_fn done,
                                    void *arg)
{
    struct err e = ERR_INIT;
    struct sandbox *s = sandbox_by_name(h, u, SANDBOX_DEFAULT);
    const struct sandbox *other = purge ? other_user_of(h, u, s) : NULL;
    if (other)
        (void)err_set(&e, ERR_CONFLICT,
                      "sandbox '%s' uses the workspace, too: end it first, then purge",
                      other->name);
    else if (!s && !purge)
        (void)ended_explain(h->ended, &u->id, SANDBOX_DEFAULT, &e);
    if (e.code != ERR_NONE)
        return refuse(&e, done, arg);
    if (!s)
        return sandbox_purge_shared(h, u, done, arg);
    close_sessions(s, "the sandbox is gone: it was deleted");
    return sandbox_end_then(s, CAUSE_DELETED, "it was deleted", purge, done, arg);
}

struct wait *sandbox_delete(struct sandbox *s, const char *why, reply_fn done, void *arg)
{
    char text[300];
    (void)snprintf(text, sizeof text, "the sandbox is gone: %s", why); /* why is ours, and short */
    close_sessions(s, text);
    return sandbox_end_then(s, CAUSE_DELETED, why, false, done, arg);
}
