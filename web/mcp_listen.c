/* Who wants to be told when a resource changes: a legacy client (resources/subscribe, told beside its calls) or a modern one's
 * subscriptions/listen (told on that call's own stream). Each URI is told at most once a second: what comes sooner is due at the next
 * turn of one timer. */
#include <stdlib.h>

#include "base/json.h"
#include "web/mcp_methods.h"
#include "web/mcp_task.h"

#define MAX_URIS      256 /* of one client */
#define MAX_URI_BYTES 8192
#define MAX_ALL_BYTES (64u << 10) /* of the URIs of one client */
#define PERIOD_MS     1000

struct watched {
    char *uri; /* NULL: the list */
    int64_t told_ms;
    bool is_due;
};

struct mcp_subscription {
    struct mcp *mcp;
    struct user *user;
    struct mcp_peer *peer; /* legacy */
    struct mcp_call *call; /* modern */
    struct watched list;
    bool wants_list;
    struct watched uris[MAX_URIS];
    size_t n_uris, n_bytes;
    void *place;
};

static struct mcp_subscription *subscription_new(struct mcp *m, struct user *user)
{
    struct mcp_subscription *s = calloc(1, sizeof *s);
    assert(s);
    s->mcp = m;
    s->user = user;
    s->list.told_ms = -PERIOD_MS;
    s->place = zlistx_add_end(m->subscriptions, s);
    return s;
}

void mcp_subscription_free(struct mcp_subscription *s)
{
    if (!s)
        return;
    (void)zlistx_delete(s->mcp->subscriptions, s->place); /* it is in there */
    for (size_t i = 0; i < s->n_uris; i++)
        free(s->uris[i].uri);
    free(s);
}

static bool has_room(const struct mcp *m, const struct user *user)
{
    size_t n = 0;
    for (struct mcp_subscription *s = zlistx_first(m->subscriptions); s;
         s = zlistx_next(m->subscriptions))
        n += s->user == user;
    return n < MCP_MAX_SUBSCRIPTIONS;
}

static size_t find(const struct mcp_subscription *s, const char *uri)
{
    size_t i = 0;
    while (i < s->n_uris && strcmp(s->uris[i].uri, uri) != 0)
        i++;
    return i;
}

/* raw: a JSON string between its quotes. False: there is no room for it. */
static bool add_uri(struct mcp_subscription *s, struct slice raw)
{
    char uri[MAX_URI_BYTES];
    if (!json_copy_string(raw, uri, sizeof uri))
        return false;
    if (find(s, uri) < s->n_uris)
        return true;
    size_t n = strlen(uri) + 1;
    if (s->n_uris == MAX_URIS || s->n_bytes + n > MAX_ALL_BYTES)
        return false;
    char *copy = strdup(uri);
    assert(copy);
    s->uris[s->n_uris++] = (struct watched){ .uri = copy, .told_ms = -PERIOD_MS };
    s->n_bytes += n;
    return true;
}

static void remove_uri(struct mcp_subscription *s, size_t i)
{
    s->n_bytes -= strlen(s->uris[i].uri) + 1;
    free(s->uris[i].uri);
    s->uris[i] = s->uris[--s->n_uris];
}

/* ---- telling ---- */

static void add_subscription_id(const struct mcp_subscription *s, struct buf *params)
{
    buf_add_str(params, "\"_meta\":{\"" MCP_META_PREFIX "subscriptionId\":");
    buf_add_slice(params, s->call->id);
    buf_add_char(params, '}');
}

static void say(struct mcp_subscription *s, const char *method, struct buf *params)
{
    if (params->failed)
        return;
    if (s->call)
        mcp_call_notify(s->call, method, buf_slice(params));
    else
        mcp_peer_notify(s->peer, method, buf_slice(params));
}

static void tell(struct mcp_subscription *s, struct watched *w, int64_t now_ms)
{
    CLEANUP_BUF struct buf params = BUF_INIT(8 * MAX_URI_BYTES);
    w->told_ms = now_ms;
    w->is_due = false;
    buf_add_char(&params, '{');
    if (w->uri) {
        buf_add_str(&params, "\"uri\":");
        json_quote_str(&params, w->uri);
    }
    if (s->call) {
        if (w->uri)
            buf_add_char(&params, ',');
        add_subscription_id(s, &params);
    }
    buf_add_char(&params, '}');
    say(s, w->uri ? "notifications/resources/updated" : "notifications/resources/list_changed",
        &params);
}

static bool tell_due(struct mcp_subscription *s, int64_t now_ms)
{
    bool is_left = false;
    for (size_t i = 0; i <= s->n_uris; i++) {
        struct watched *w = i < s->n_uris ? &s->uris[i] : &s->list;
        if (w->is_due && now_ms - w->told_ms >= PERIOD_MS)
            tell(s, w, now_ms);
        is_left |= w->is_due;
    }
    return is_left;
}

static int on_update_time(struct loop *loop, int timer, void *arg)
{
    struct mcp *m = arg;
    bool is_left = false;
    int64_t now_ms = zclock_mono();
    m->update_timer = -1;
    for (struct mcp_subscription *s = zlistx_first(m->subscriptions); s;
         s = zlistx_next(m->subscriptions))
        is_left |= tell_due(s, now_ms);
    if (is_left)
        m->update_timer = loop_timer(loop, PERIOD_MS, on_update_time, m);
    return 0;
}

static void changed(struct mcp_subscription *s, struct watched *w)
{
    struct mcp *m = s->mcp;
    int64_t now_ms = zclock_mono();
    if (now_ms - w->told_ms >= PERIOD_MS) {
        tell(s, w, now_ms);
        return;
    }
    w->is_due = true;
    if (m->update_timer < 0)
        m->update_timer = loop_timer(hub_loop(m->site->hub), PERIOD_MS, on_update_time, m);
}

void mcp_part_resource_updated(struct site *site, const struct user *user, const char *uri)
{
    zlistx_t *all = site->mcp->subscriptions;
    for (struct mcp_subscription *s = zlistx_first(all); s; s = zlistx_next(all)) {
        size_t i = s->user == user ? find(s, uri) : s->n_uris;
        if (i < s->n_uris)
            changed(s, &s->uris[i]);
    }
}

bool mcp_part_is_watched(struct site *site, const struct user *user)
{
    zlistx_t *all = site->mcp->subscriptions;
    for (struct mcp_subscription *s = zlistx_first(all); s; s = zlistx_next(all))
        if (s->user == user)
            return true;
    return false;
}

void mcp_part_resources_updated(struct site *site, const struct user *user,
                                bool (*is_it)(void *arg, const char *uri), void *arg)
{
    zlistx_t *all = site->mcp->subscriptions;
    for (struct mcp_subscription *s = zlistx_first(all); s; s = zlistx_next(all))
        for (size_t i = 0; s->user == user && i < s->n_uris; i++)
            if (is_it(arg, s->uris[i].uri))
                changed(s, &s->uris[i]);
}

/* Legacy clients hear of the list once they have subscribed to something: others have no use for it. */
void mcp_part_resources_changed(struct site *site, const struct user *user)
{
    zlistx_t *all = site->mcp->subscriptions;
    for (struct mcp_subscription *s = zlistx_first(all); s; s = zlistx_next(all))
        if (s->user == user && s->wants_list)
            changed(s, &s->list);
}

/* ---- legacy ---- */

static void answer_empty(struct mcp_call *c)
{
    CLEANUP_BUF struct buf out = BUF_INIT(8);
    buf_add_str(&out, "{}");
    mcp_call_result(c, &out);
}

static void refuse(struct mcp_call *c, enum err_code code, const char *text)
{
    struct err e = ERR_INIT;
    (void)err_set(&e, code, "%s", text);
    mcp_call_failed(c, &e);
}

void mcp_subscribe(struct mcp_call *c)
{
    struct mcp_peer *p = mcp_task_of(c)->peer;
    struct slice raw;
    if (!json_member_string(c->params, "uri", &raw)) {
        refuse(c, ERR_INVALID, "params.uri has to be a string");
        return;
    }
    if (!p->subscription && has_room(p->mcp, p->user)) {
        p->subscription = subscription_new(p->mcp, p->user);
        p->subscription->peer = p;
        p->subscription->wants_list = true;
    }
    if (p->subscription && add_uri(p->subscription, raw))
        answer_empty(c);
    else
        refuse(c, ERR_QUOTA, "there are too many subscriptions");
}

void mcp_unsubscribe(struct mcp_call *c)
{
    struct mcp_peer *p = mcp_task_of(c)->peer;
    char uri[MAX_URI_BYTES];
    struct slice raw;
    if (!json_member_string(c->params, "uri", &raw) || !json_copy_string(raw, uri, sizeof uri)) {
        refuse(c, ERR_INVALID, "params.uri has to be a string");
        return;
    }
    size_t i = p->subscription ? find(p->subscription, uri) : 0;
    if (p->subscription && i < p->subscription->n_uris)
        remove_uri(p->subscription, i);
    answer_empty(c);
}

/* ---- modern ---- */

static void acknowledge(struct mcp_subscription *s)
{
    CLEANUP_BUF struct buf params = BUF_INIT(8 * MAX_ALL_BYTES);
    const char *before = "";
    buf_add_str(&params, "{\"notifications\":{");
    if (s->wants_list) {
        buf_add_str(&params, "\"resourcesListChanged\":true");
        before = ",";
    }
    for (size_t i = 0; i < s->n_uris; i++) {
        if (i == 0)
            buf_addf(&params, "%s\"resourceSubscriptions\":[", before);
        else
            buf_add_char(&params, ',');
        json_quote_str(&params, s->uris[i].uri);
    }
    buf_addf(&params, "%s},", s->n_uris ? "]" : "");
    add_subscription_id(s, &params);
    buf_add_char(&params, '}');
    say(s, "notifications/subscriptions/acknowledged", &params);
}

/* Its client has gone, or says that it wants no more. */
static void on_cancel(struct mcp_call *c, void *own)
{
    answer_empty(c);
}

static void on_done(void *own)
{
    mcp_subscription_free(own);
}

static const char *take_wishes(struct mcp_subscription *s, struct slice wanted)
{
    struct slice uris;
    (void)json_member_bool(wanted, "resourcesListChanged", &s->wants_list); /* or not given */
    if (!json_member(wanted, "resourceSubscriptions", &uris))
        return NULL;
    if (json_type(uris) != JSON_ARRAY)
        return "notifications.resourceSubscriptions has to be a list";
    for (struct json_iter it = json_iter(uris); json_next(&it);)
        if (json_type(it.value) != JSON_STRING ||
            !add_uri(s, slice_of(it.value.data + 1, it.value.len - 2)))
            return "notifications.resourceSubscriptions: at most 256 strings of 8 KiB";
    return NULL;
}

void mcp_listen(struct mcp_call *c)
{
    struct mcp *m = c->site->mcp;
    struct slice wanted;
    if (!json_member(c->params, "notifications", &wanted) || json_type(wanted) != JSON_OBJECT) {
        refuse(c, ERR_INVALID, "params.notifications has to be an object");
        return;
    }
    if (!has_room(m, c->user)) {
        refuse(c, ERR_QUOTA, "there are too many subscriptions");
        return;
    }
    struct mcp_subscription *s = subscription_new(m, c->user);
    s->call = c;
    const char *why = take_wishes(s, wanted);
    if (why) {
        mcp_subscription_free(s);
        refuse(c, ERR_INVALID, why);
        return;
    }
    mcp_call_own(c, s, on_cancel, on_done);
    acknowledge(s);
}
