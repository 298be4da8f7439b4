/* What is asked of the keeper, and by whom: the hub's uid and root all verbs but kill, a live warden's uid
 * only kill, everybody else nothing. */
#include "sandbox/keeper_inside.h"

#include <assert.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"

static bool is_hub(void *ctx, unsigned uid)
{
    const struct keeper *k = ctx;
    return uid == 0 || uid == k->place.options.hub_uid;
}

static struct life *warden_of(const struct keeper *k, unsigned uid)
{
    unsigned range;
    return ids_find_warden(k->ids, uid, &range) ? k->by_range[range] : NULL;
}

static bool may_connect(void *ctx, unsigned uid)
{
    return is_hub(ctx, uid) || warden_of(ctx, uid) != NULL;
}

static void refuse(struct keeper *k, struct verb_peer peer, const struct verb_request *r,
                   enum err_code code, const char *why)
{
    struct err e = ERR_INIT;
    err_set(&e, code, "%s", why);
    verb_server_refuse(k->server, peer.client, r->id, &e);
}

static void do_hello(struct keeper *k, struct verb_peer peer, const struct verb_request *r)
{
    if (r->version < VERB_VERSION - 1 || r->version > VERB_VERSION + 1)
        return refuse(k, peer, r, ERR_PRECONDITION,
                      "this keeper does not speak that version of the verbs");
    CLEANUP_BUF struct buf fields = BUF_INIT(65536);
    buf_addf(
        &fields,
        ",\"version\":%d,\"instance\":\"%s\",\"keeper_epoch\":%llu,\"boot_id\":\"%s\",\"runtime\":",
        VERB_VERSION, k->place.instance.text, (unsigned long long)k->place.epoch,
        k->place.boot_id.text);
    json_quote_str(&fields, k->runtime);
    struct cgroup_paths own;
    buf_addf(&fields, ",\"cgroup\":\"v%d\",\"weak\":[",
             cgroup_find(getpid(), &own, NULL) == 0 ? own.version : 1);
    for (size_t i = 0; i < k->n_weak; i++) {
        buf_add_str(&fields, i ? "," : "");
        json_quote_str(&fields, k->weak[i]);
    }
    buf_add_char(&fields, ']');
    verb_server_reply(k->server, peer.client, r->id, buf_slice(&fields));
}

/* ---- before the images are known ---- */

struct early {
    struct verb_peer peer;
    struct verb_request request;
};

/* Who asks a keeper that has just begun for what needs an image is answered after the first listing. */
static bool is_early(struct keeper *k, struct verb_peer peer, const struct verb_request *r)
{
    if (k->images || !k->images_busy)
        return false;
    if (!k->early)
        k->early = zlistx_new();
    if (zlistx_size(k->early) >= KEEPER_MAX_EARLY)
        return false;
    struct early *early = calloc(1, sizeof *early);
    assert(early);
    *early = (struct early){ peer, *r };
    (void)zlistx_add_end(k->early, early); /* no memory aborts */
    return true;
}

static void drop_early(struct keeper *k, const struct uuid *sandbox_id)
{
    for (struct early *at = k->early ? zlistx_first(k->early) : NULL; at;
         at = zlistx_next(k->early)) {
        if (at->request.verb != VERB_CREATE || !uuid_equal(&at->request.sandbox_id, sandbox_id))
            continue;
        refuse(k, at->peer, &at->request, ERR_GONE, "the sandbox was destroyed meanwhile");
        (void)zlistx_detach_cur(k->early); /* the cursor stands on it */
        free(at);
    }
}

void keeper_verbs_stop(struct keeper *k)
{
    for (struct early *at; k->early && (at = zlistx_detach(k->early, NULL));)
        free(at);
    zlistx_destroy(&k->early);
}

/* ---- one by one ---- */

static void do_create(struct keeper *k, struct verb_peer peer, const struct verb_request *r)
{
    struct err e = ERR_INIT;
    struct life *l = life_find(k, &r->sandbox_id);
    if (l)
        return life_ask_again(l, peer, r);
    if (zhashx_size(k->lives) >= k->place.options.max_sandboxes)
        return refuse(k, peer, r, ERR_QUOTA, "this host has as many sandboxes as it may");
    if (policy_check_limits(&r->limits, &e) < 0)
        return verb_server_refuse(k->server, peer.client, r->id, &e);
    if (is_early(k, peer, r))
        return;
    if (!k->images)
        return refuse(k, peer, r, ERR_UNAVAILABLE, "the keeper does not know its images yet");
    const struct image *image = images_find(k->images, r->template_name);
    if (!image) {
        keeper_images_refresh(k);
        return refuse(k, peer, r, ERR_NOT_FOUND, "no image has this template");
    }
    life_begin(k, peer, r, image);
}

static void do_destroy(struct keeper *k, struct verb_peer peer, const struct verb_request *r)
{
    struct life *l = life_find(k, &r->sandbox_id);
    if (l)
        return life_destroy(l, peer, r->id);
    drop_early(k, &r->sandbox_id);
    verb_server_reply(k->server, peer.client, r->id, SLICE_LITERAL(""));
}

static void do_list(struct keeper *k, struct verb_peer peer, const struct verb_request *r)
{
    /* 4,095 sandboxes of some 150 bytes stay below a frame's 1 MiB. */
    CLEANUP_BUF struct buf fields = BUF_INIT(VERB_MAX_FRAME_BYTES - 128);
    const char *comma = "";
    buf_add_str(&fields, ",\"sandboxes\":[");
    for (const struct life *l = zhashx_first(k->lives); l; l = zhashx_next(k->lives)) {
        const struct box *b = life_box(l);
        buf_addf(
            &fields,
            "%s{\"sandbox_id\":\"%s\",\"user_id\":\"%s\",\"template\":\"%s\",\"state\":\"%s\"}",
            comma, b->id.text, b->user_id, b->template_name,
            life_is_running(l) ? "running" : "gone");
        comma = ",";
    }
    buf_add_char(&fields, ']');
    if (fields.failed)
        return refuse(k, peer, r, ERR_TOO_LARGE, "there are more sandboxes than one frame holds");
    verb_server_reply(k->server, peer.client, r->id, buf_slice(&fields));
}

static void do_images(struct keeper *k, struct verb_peer peer, const struct verb_request *r)
{
    if (!waiters_add(k->images_busy ? &k->image_waiters_next : &k->image_waiters, peer.client,
                     r->id))
        return refuse(k, peer, r, ERR_BUSY, "too many ask for the images at once");
    keeper_images_refresh(k);
}

static bool is_used(const struct keeper *k, const struct verb_request *r)
{
    for (const struct life *l = zhashx_first(k->lives); l; l = zhashx_next(k->lives)) {
        const struct box *b = life_box(l);
        if (r->private_workspace ? uuid_equal(&b->id, &r->sandbox_id)
                                 : !b->private_workspace && strcmp(b->user_id, r->user_id) == 0)
            return true;
    }
    return false;
}

static void do_purge(struct keeper *k, struct verb_peer peer, const struct verb_request *r)
{
    struct err e = ERR_INIT;
    if (is_used(k, r))
        return refuse(k, peer, r, ERR_BUSY, "a sandbox still uses this workspace");
    if (keeper_purge_workspace(k, r, &e) < 0)
        return verb_server_refuse(k->server, peer.client, r->id, &e);
    verb_server_reply(k->server, peer.client, r->id, SLICE_LITERAL(""));
}

static void do_build(struct keeper *k, struct verb_peer peer, const struct verb_request *r)
{
    if (keeper_build_repeat(k, peer, r) || is_early(k, peer, r))
        return;
    if (!k->images)
        return refuse(k, peer, r, ERR_UNAVAILABLE, "the keeper does not know its images yet");
    const struct image *image = images_find(k->images, r->template_name);
    if (!image)
        return refuse(k, peer, r, ERR_NOT_FOUND, "no image has this template");
    keeper_build_begin(k, peer, r, image);
}

static void do_kill(struct keeper *k, struct verb_peer peer, const struct verb_request *r)
{
    struct life *l = warden_of(k, peer.uid);
    if (l)
        life_kill(l);
    verb_server_reply(k->server, peer.client, r->id, SLICE_LITERAL(""));
}

static const struct {
    bool of_warden;
    void (*run)(struct keeper *k, struct verb_peer peer, const struct verb_request *r);
} VERBS[VERB_N] = {
    [VERB_HELLO] = { false, do_hello },     [VERB_CREATE] = { false, do_create },
    [VERB_DESTROY] = { false, do_destroy }, [VERB_LIST] = { false, do_list },
    [VERB_IMAGES] = { false, do_images },   [VERB_KILL] = { true, do_kill },
    [VERB_PURGE] = { false, do_purge },     [VERB_BUILD] = { false, do_build },
};

static void on_request(void *ctx, struct verb_peer peer, const struct verb_request *r)
{
    struct keeper *k = ctx;
    if (VERBS[r->verb].of_warden == is_hub(k, peer.uid))
        return refuse(k, peer, r, ERR_FORBIDDEN, "this verb is not for you");
    VERBS[r->verb].run(k, peer, r);
}

void keeper_verbs_listed(struct keeper *k)
{
    zlistx_t *early = TAKE(k->early);
    for (struct early *at; early && (at = zlistx_detach(early, NULL));) {
        VERBS[at->request.verb].run(k, at->peer, &at->request);
        free(at);
    }
    zlistx_destroy(&early);
}

struct verb_handler keeper_verbs(struct keeper *k)
{
    return (struct verb_handler){
        .ctx = k, .may_connect = may_connect, .is_hub = is_hub, .on_request = on_request
    };
}
