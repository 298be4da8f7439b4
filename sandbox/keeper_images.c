/* The list of images: read at the start, when somebody asks, and when Podman's own list changes. */
#include "sandbox/keeper_inside.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/inotify.h>

#include "base/log.h"

#define SETTLE_MS 300 /* a build writes the list several times */

struct refresh {
    struct keeper *keeper;
    struct images *images;
    struct err error;
};

static void run_refresh(void *ctx, struct podman *podman)
{
    struct refresh *r = ctx;
    struct keeper *k = r->keeper;
    (void)images_refresh(&k->place, podman, k->discover_range, ids_first(k->ids, k->discover_range),
                         &r->images, &r->error);
}

static void answer(struct keeper *k, const struct err *error)
{
    CLEANUP_BUF struct buf fields = BUF_INIT(VERB_MAX_FRAME_BYTES - 128);
    images_encode(k->images, VERB_MAX_FRAME_BYTES - 65536, &fields);
    for (unsigned i = 0; i < k->image_waiters.n; i++) {
        struct waiter *w = &k->image_waiters.waiter[i];
        if (error->code == ERR_NONE)
            verb_server_reply(k->server, w->client, w->id, buf_slice(&fields));
        else
            verb_server_refuse(k->server, w->client, w->id, error);
    }
    k->image_waiters = k->image_waiters_next;
    k->image_waiters_next.n = 0;
}

static void done_refresh(void *ctx)
{
    struct refresh *r = ctx;
    struct keeper *k = r->keeper;
    k->images_busy = false;
    if (r->images) {
        bool changed = !images_same(k->images, r->images);
        images_free(k->images);
        k->images = TAKE(r->images);
        if (changed) {
            log_info("images=%zu the list has changed", k->images->n);
            verb_server_tell_all(k->server, "images", SLICE_LITERAL(""));
        }
    } else {
        log_warning("the images cannot be listed: %s", r->error.text);
    }
    answer(k, &r->error);
    free(r);
    keeper_verbs_listed(k);
    if (k->images_again || k->image_waiters.n > 0)
        keeper_images_refresh(k);
}

static void drop_refresh(void *ctx)
{
    struct refresh *r = ctx;
    images_free(r->images);
    free(r);
}

void keeper_images_refresh(struct keeper *k)
{
    k->images_again = k->images_busy;
    if (k->images_busy)
        return;
    struct refresh *r = calloc(1, sizeof *r);
    assert(r);
    r->keeper = k;
    k->images_busy = true;
    (void)workers_submit(k->workers, (struct job){ run_refresh, done_refresh, r, drop_refresh },
                         true, NULL); /* one at a time: never refused */
}

static int on_settled(struct loop *loop, int timer, void *ctx)
{
    struct keeper *k = ctx;
    k->images_timer = -1;
    keeper_images_refresh(k);
    return 0;
}

static void on_change(struct watch *w, uint32_t events)
{
    struct keeper *k = CONTAINER_OF(w, struct keeper, images_watch);
    char skipped[4096] __attribute__((aligned(8)));
    (void)!read(w->fd, skipped,
                sizeof skipped); /* that something changed is all there is to know */
    if (k->images_timer < 0)
        k->images_timer = loop_timer(k->loop, SETTLE_MS, on_settled, k);
}

void keeper_images_start(struct keeper *k, const char *graph_root)
{
    static const char *const DRIVERS[] = { "overlay", "vfs", "btrfs", "zfs" };
    k->images_timer = -1;
    k->images_watch = (struct watch){ .on_ready = on_change, .fd = -1 };
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    unsigned n = 0;
    for (size_t i = 0; fd >= 0 && i < ARRAY_LEN(DRIVERS); i++) {
        char dir[512];
        snprintf(dir, sizeof dir, "%.400s/%s-images", graph_root, DRIVERS[i]);
        n += inotify_add_watch(fd, dir, IN_MOVED_TO | IN_ONLYDIR) >= 0;
    }
    if (n > 0)
        watch_add(k->watches, &k->images_watch, fd, EPOLLIN);
    else if (fd >= 0)
        close(fd); /* then the list is read when somebody asks */
    keeper_images_refresh(k);
}

void keeper_images_stop(struct keeper *k)
{
    int fd = k->images_watch.fd;
    watch_remove(k->watches, &k->images_watch);
    if (fd >= 0)
        close(fd);
    images_free(k->images);
    k->images = NULL;
}
