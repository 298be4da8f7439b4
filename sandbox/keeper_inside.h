/* keeper_inside.h - the keeper's state, for the files that are the keeper: keeper.c (process), keeper_verbs.c
 * (requests), keeper_life.c (the life of a sandbox), keeper_images.c. Only the loop's thread touches it. */
#ifndef SANDBOX_KEEPER_INSIDE_H
#define SANDBOX_KEEPER_INSIDE_H

#include <czmq.h>
#include <stdatomic.h>

#include "base/loop.h"
#include "sandbox/box.h"
#include "sandbox/ids.h"
#include "sandbox/images.h"
#include "sandbox/place.h"
#include "sandbox/podman_service.h"
#include "sandbox/verb_server.h"
#include "sandbox/watch.h"
#include "sandbox/workers.h"

#define KEEPER_THREADS     4
#define KEEPER_BUILDERS    2
#define KEEPER_MAX_QUEUED  256
#define KEEPER_MAX_WAITERS 8
#define KEEPER_MAX_EARLY   64
#define KEEPER_MAX_WEAK    32

/* Whom to answer when something is done. */
struct waiter {
    uint64_t client;
    uint64_t id;
};

struct waiters {
    struct waiter waiter[KEEPER_MAX_WAITERS];
    unsigned n;
};

static inline bool waiters_add(struct waiters *w, uint64_t client, uint64_t id)
{
    if (w->n == KEEPER_MAX_WAITERS)
        return false;
    w->waiter[w->n++] = (struct waiter){ client, id };
    return true;
}

struct life;

struct keeper {
    struct place place;
    const char *runtime;
    const char *podman_socket;
    struct loop *loop;
    struct watches *watches;
    struct workers *workers;
    struct verb_server *server;
    struct ids *ids;
    struct podman_service podman;
    struct watch podman_watch;
    struct watch signal_watch;
    bool stopping;

    zhashx_t *lives;         /* sandbox id (text) → struct life * */
    struct life **by_range; /* ids_count of them; NULL: none */

    struct images *images; /* NULL until the first listing */
    unsigned discover_range;
    bool images_busy;  /* a refresh runs */
    bool images_again; /* and another is wanted after it */
    struct waiters image_waiters;      /* of the verb `images`: answered by a listing that began later */
    struct waiters image_waiters_next; /* came while one ran */
    zlistx_t *early;     /* struct early of keeper_verbs.c: asked before the first listing has ended */
    bool sweeping;       /* what was put aside is being removed */
    bool sweep_again;    /* and more has come since */
    struct workers *builders; /* threads of their own: a build takes long, and a sandbox shall not wait for it */
    zhashx_t *builds;         /* user id → struct build of keeper_build.c */
    atomic_bool stop_builds;
    struct watch images_watch;         /* inotify on Podman's list */
    int images_timer;

    char weak[KEEPER_MAX_WEAK][256];
    size_t n_weak;
};

/* keeper_life.c: an allowed create, which has a template that there is. */
void life_begin(struct keeper *k, struct verb_peer peer, const struct verb_request *request, const struct image *image);
void life_adopt(struct keeper *k, struct box *box); /* takes the box */
struct life *life_find(struct keeper *k, const struct uuid *id);
void life_ask_again(struct life *l, struct verb_peer peer, const struct verb_request *request); /* create, repeated */
void life_destroy(struct life *l, struct verb_peer peer, uint64_t request_id);
void life_kill(struct life *l); /* by its own warden */
bool life_is_running(const struct life *l);
const struct box *life_box(const struct life *l);
void life_free(struct life *l); /* at the keeper's end: the sandbox lives on */

/* keeper_verbs.c */
struct verb_handler keeper_verbs(struct keeper *k);
void keeper_verbs_listed(struct keeper *k); /* the images are known, or not to be had */
void keeper_verbs_stop(struct keeper *k);

/* keeper_images.c */
void keeper_images_start(struct keeper *k, const char *graph_root); /* watches Podman's list, asks for the first listing */
void keeper_images_stop(struct keeper *k);
void keeper_images_refresh(struct keeper *k);

/* keeper_workspace.c: puts a workspace aside at once, so that the next sandbox gets a new one, and removes it in the background.
 * The caller has seen that no sandbox uses it. */
int keeper_purge_workspace(struct keeper *k, const struct verb_request *request, struct err *e);
void keeper_sweep(struct keeper *k); /* what is put aside */

/* keeper_build.c */
void keeper_build_start(struct keeper *k);
void keeper_build_stop(struct keeper *k); /* ends what runs, waiting for it */
void keeper_build_begin(struct keeper *k, struct verb_peer peer, const struct verb_request *request, const struct image *image);
bool keeper_build_repeat(struct keeper *k, struct verb_peer peer, const struct verb_request *request); /* it is under way: true, and it will be answered */

/* keeper_reconcile.c: blocking, before the loop. Boxes whose two processes live are handed to adopt
 * (NULL: none is kept); everything else of this instance is removed. */
int keeper_reconcile(const struct place *place, struct podman *podman, void (*adopt)(struct keeper *k, struct box *box),
                     struct keeper *k, struct err *e);

#endif
