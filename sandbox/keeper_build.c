/* Builds of packages: at most one of a user, in threads of their own. */
#include "sandbox/keeper_inside.h"

#include <assert.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "sandbox/builder.h"
#include "sandbox/place_packages.h"

#define MAX_QUEUED 16

struct build {
    struct keeper *keeper;
    struct builder builder; /* the worker's while it runs */
    struct waiters waiters;
    struct err result;
};

static void run_build(void *ctx, struct podman *podman)
{
    struct build *b = ctx;
    if (builder_run(&b->builder, &b->keeper->place, podman, &b->result) == 0)
        b->result.code = ERR_NONE;
    else if (b->result.code == ERR_NONE)
        b->result.code = ERR_INTERNAL;
}

static void answer(struct build *b)
{
    struct keeper *k = b->keeper;
    CLEANUP_BUF struct buf fields = BUF_INIT(4096);
    buf_addf(&fields, ",\"status\":\"%s\",\"exit_code\":%d,\"size_bytes\":%llu",
             builder_status_name(b->builder.status), b->builder.exit_code,
             (unsigned long long)b->builder.size_bytes);
    buf_add_str(&fields, ",\"words\":");
    json_quote_str(&fields, b->builder.words);
    for (unsigned i = 0; i < b->waiters.n; i++) {
        const struct waiter *w = &b->waiters.waiter[i];
        if (b->result.code == ERR_NONE)
            verb_server_reply(k->server, w->client, w->id, buf_slice(&fields));
        else
            verb_server_refuse(k->server, w->client, w->id, &b->result);
    }
}

static void done_build(void *ctx)
{
    struct build *b = ctx;
    struct keeper *k = b->keeper;
    const struct builder *r = &b->builder;
    if (b->result.code == ERR_NONE)
        log_info("build=%s user=%s language=%s status=%s exit_code=%d bytes=%llu", r->id.text,
                 r->user_id, r->language, builder_status_name(r->status), r->exit_code,
                 (unsigned long long)r->size_bytes);
    else
        log_warning("build=%s user=%s language=%s failed: %s", r->id.text, r->user_id, r->language,
                    b->result.text);
    /* Not before: when the keeper ends, nobody is answered, and the hub asks the next one for the same build. */
    place_end_build(&k->place, &r->id, r->user_id);
    answer(b);
    if (!r->is_stuck)
        ids_give(k->ids, r->range);
    zhashx_delete(k->builds, r->user_id);
    free(b);
    keeper_sweep(k); /* what it put aside */
}

bool keeper_build_repeat(struct keeper *k, struct verb_peer peer, const struct verb_request *r)
{
    struct build *b = zhashx_lookup(k->builds, r->user_id);
    struct err e = ERR_INIT;
    if (!b)
        return false;
    if (!uuid_equal(&b->builder.id, &r->build_id))
        err_set(&e, ERR_BUSY, "another install of this user runs");
    else if (!waiters_add(&b->waiters, peer.client, r->id))
        err_set(&e, ERR_BUSY, "too many wait for this build");
    if (e.code != ERR_NONE)
        verb_server_refuse(k->server, peer.client, r->id, &e);
    return true;
}

void keeper_build_begin(struct keeper *k, struct verb_peer peer, const struct verb_request *r,
                        const struct image *image)
{
    struct err e = ERR_INIT;
    unsigned range;
    if (ids_take(k->ids, &range, &e) < 0)
        return verb_server_refuse(k->server, peer.client, r->id, &e);
    struct build *b = calloc(1, sizeof *b);
    assert(b);
    b->keeper = k;
    b->builder = (struct builder){ .id = r->build_id,
                                   .range = range,
                                   .first_id = ids_first(k->ids, range),
                                   .stop = &k->stop_builds };
    memcpy(b->builder.user_id, r->user_id, sizeof b->builder.user_id);
    memcpy(b->builder.language, r->language, sizeof b->builder.language);
    memcpy(b->builder.template_name, r->template_name, sizeof b->builder.template_name);
    memcpy(b->builder.image_id, image->id, sizeof b->builder.image_id);
    (void)waiters_add(&b->waiters, peer.client, r->id); /* the first: there is room */
    if (workers_submit(k->builders, (struct job){ run_build, done_build, b, free }, false, &e) ==
        0) {
        zhashx_insert(k->builds, b->builder.user_id, b);
        return;
    }
    ids_give(k->ids, range);
    verb_server_refuse(k->server, peer.client, r->id, &e);
    free(b);
}

void keeper_build_start(struct keeper *k)
{
    k->builds = zhashx_new();
    k->builders = workers_new(k->loop, KEEPER_BUILDERS, MAX_QUEUED, k->podman_socket);
}

void keeper_build_stop(struct keeper *k)
{
    atomic_store(&k->stop_builds, true);
    workers_free(k->builders);
    k->builders = NULL;
    zhashx_destroy(&k->builds);
}
