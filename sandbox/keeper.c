#include "sandbox/keeper.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "sandbox/host.h"
#include "sandbox/keeper_inside.h"
#include "sandbox/jansson_owner.h"
#include "sandbox/process.h"

#define LOCK_WAIT_MS      10000
#define PODMAN_START_MS   30000
#define PODMAN_RESTART_MS 500
#define GROUP_WAIT_MS     3000

/* Blocks the two signals before any thread is born, so that all inherit it. */
static int block_signals(struct err *e)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    zsys_handler_set(NULL);
    (void)signal(SIGPIPE, SIG_IGN); /* curl writes to sockets without MSG_NOSIGNAL */
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return err_set(e, ERR_INTERNAL, "block signals");
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd >= 0 ? fd : err_errno(e, ERR_INTERNAL, "make a signalfd");
}

static int wait_for_podman(const char *socket_path, const struct podman_service *service,
                           struct err *e)
{
    CLEANUP(podman_free) struct podman *podman = podman_new(socket_path);
    /* It says nothing when it is ready; this is the start only, later calls wait by themselves. */
    for (unsigned waited = 0; !podman_ping(podman, 2000); waited += 10) {
        if (waited >= PODMAN_START_MS || (service->pidfd >= 0 && process_wait(service->pidfd, 0)))
            return err_set(e, ERR_UNAVAILABLE, "Podman's service does not answer at '%s'",
                           socket_path);
        (void)nanosleep(&(struct timespec){ .tv_nsec = 10000000 },
                        NULL); /* cut short: asks earlier */
    }
    return 0;
}

static int start_podman(struct keeper *k, struct err *e)
{
    k->podman_socket =
        k->place.options.podman_socket ? k->place.options.podman_socket : k->place.podman_socket;
    if (!k->place.options.podman_socket &&
        podman_service_start(&k->podman, k->runtime, k->podman_socket, k->place.containers_conf,
                             e) < 0)
        return -1;
    return wait_for_podman(k->podman_socket, &k->podman, e);
}

static void watch_podman(struct keeper *k);

static int on_podman_due(struct loop *loop, int timer, void *ctx)
{
    struct keeper *k = ctx;
    struct err e = ERR_INIT;
    if (podman_service_start(&k->podman, k->runtime, k->podman_socket, k->place.containers_conf,
                             &e) < 0) {
        log_error("Podman's service does not start: %s", e.text);
        loop_timer(loop, PODMAN_RESTART_MS, on_podman_due, k);
        return 0;
    }
    watch_podman(k);
    return 0;
}

static void on_podman_gone(struct watch *w, uint32_t events)
{
    struct keeper *k = CONTAINER_OF(w, struct keeper, podman_watch);
    log_warning("Podman's service ended, is started again");
    watch_remove(k->watches, w);
    podman_service_stop(&k->podman);
    loop_timer(k->loop, PODMAN_RESTART_MS, on_podman_due, k);
}

static void watch_podman(struct keeper *k)
{
    k->podman_watch = (struct watch){ .on_ready = on_podman_gone, .fd = -1 };
    if (k->podman.pidfd >= 0)
        watch_add(k->watches, &k->podman_watch, k->podman.pidfd, EPOLLIN);
}

static void on_signal(struct watch *w, uint32_t events)
{
    struct keeper *k = CONTAINER_OF(w, struct keeper, signal_watch);
    log_info("asked to stop: %zu sandboxes run on", zhashx_size(k->lives));
    watches_stop(k->watches);
}

/* Refuses a host that cannot keep what the design promises, unless told otherwise. */
static int judge_host(struct keeper *k, struct err *e)
{
    struct host_finding findings[HOST_MAX_FINDINGS];
    size_t n = host_check(&k->place.options, findings, ARRAY_LEN(findings));
    const struct host_finding *worst = NULL;
    for (size_t i = 0; i < n; i++) {
        if (findings[i].level == HOST_OK)
            continue;
        log_warning("host %s: %s", findings[i].name, findings[i].text);
        snprintf(k->weak[k->n_weak++], sizeof k->weak[0], "%s: %.200s", findings[i].name,
                 findings[i].text);
        if (!worst || findings[i].level > worst->level)
            worst = &findings[i];
    }
    if (worst && !k->place.options.allow_weak)
        return err_set(
            e, ERR_UNAVAILABLE,
            "this host is not safe enough (%s: %.180s). %.180s, or start with --allow-weak",
            worst->name, worst->text, worst->mend);
    return 0;
}

static int graph_root(struct keeper *k, char *ret, size_t size, struct err *e)
{
    CLEANUP(podman_free) struct podman *podman = podman_new(k->podman_socket);
    CLEANUP(json_decref) json_t *info = NULL;
    if (podman_info(podman, &info, e) < 0)
        return -1;
    const char *root =
        json_string_value(json_object_get(json_object_get(info, "store"), "graphRoot"));
    if (!root || snprintf(ret, size, "%s", root) >= (int)size)
        return err_set(e, ERR_UNAVAILABLE, "Podman does not say where it keeps its images");
    return 0;
}

static int set_up(struct keeper *k, struct err *e)
{
    char root[400], path[PLACE_MAX_PATH];
    if (host_choose_runtime(&k->place.options, &k->runtime, e) < 0)
        return -1;
    k->place.options.runtime = k->runtime; /* so that it is tried only once */
    if (judge_host(k, e) < 0 || start_podman(k, e) < 0 || graph_root(k, root, sizeof root, e) < 0)
        return -1;
    char four[5] = "";
    memcpy(four, k->place.instance.text, 4); /* random hex digits */
    unsigned seed = (unsigned)strtoul(four, NULL, 16);
    if (ids_new(k->place.options.id_base, k->place.options.id_count, seed, &k->ids, e) < 0)
        return -1;
    k->by_range = calloc(ids_count(k->ids), sizeof *k->by_range);
    k->lives = zhashx_new();
    k->loop = loop_new();
    k->watches = watches_new(k->loop);
    {
        CLEANUP(podman_free) struct podman *podman = podman_new(k->podman_socket);
        if (keeper_reconcile(&k->place, podman, life_adopt, k, e) < 0)
            return err_in(e, "look after what was left");
    }
    if (ids_take(k->ids, &k->discover_range, e) < 0)
        return -1;
    k->workers = workers_new(k->loop, KEEPER_THREADS, KEEPER_MAX_QUEUED, k->podman_socket);
    watch_podman(k);
    keeper_build_start(k);
    snprintf(path, sizeof path, "%.200s/keeper.sock", k->place.options.run_dir);
    struct verb_handler handler = keeper_verbs(k);
    if (verb_server_new(k->watches, path, &handler, &k->server, e) < 0)
        return -1;
    keeper_images_start(k, root);
    keeper_sweep(k); /* what an earlier keeper did not get to */
    return 0;
}

static void tear_down(struct keeper *k)
{
    keeper_build_stop(k);
    workers_free(k->workers); /* first: its jobs use all the rest */
    if (k->watches)
        keeper_images_stop(k);
    verb_server_free(k->server);
    keeper_verbs_stop(k);
    for (struct life *l = k->lives ? zhashx_first(k->lives) : NULL; l; l = zhashx_next(k->lives))
        life_free(l);
    zhashx_destroy(&k->lives);
    if (k->watches) {
        watch_remove(k->watches, &k->podman_watch);
        watch_remove(k->watches, &k->signal_watch);
    }
    watches_free(k->watches);
    loop_free(k->loop);
    free(k->by_range);
    ids_free(k->ids);
    podman_service_stop(&k->podman);
}

int keeper_run(const struct keeper_options *options, struct err *e)
{
    CLEANUP_FD int signals = block_signals(e);
    if (signals < 0)
        return -1;
    (void)umask(022);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    struct keeper k = { .podman = PODMAN_SERVICE_INIT,
                        .podman_watch = WATCH_INIT,
                        .signal_watch = WATCH_INIT,
                        .images_watch = WATCH_INIT,
                        .images_timer = -1 };
    if (place_open(options, LOCK_WAIT_MS, &k.place, e) < 0)
        return -1;
    int r = set_up(&k, e);
    if (r == 0) {
        k.signal_watch.on_ready = on_signal;
        watch_add(k.watches, &k.signal_watch, signals, EPOLLIN);
        log_info("instance=%s epoch=%llu runtime=%s sandboxes=%zu listens", k.place.instance.text,
                 (unsigned long long)k.place.epoch, k.runtime, zhashx_size(k.lives));
        (void)loop_start(k.loop); /* -1: asked to stop */
    }
    tear_down(&k);
    place_close(&k.place);
    return r;
}

int keeper_purge(const struct keeper_options *options, struct err *e)
{
    struct keeper k = { .podman = PODMAN_SERVICE_INIT };
    if (place_open(options, LOCK_WAIT_MS, &k.place, e) < 0)
        return -1;
    (void)umask(022);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int r = host_any_runtime(&k.place.options, &k.runtime, e);
    if (r == 0)
        r = start_podman(&k, e);
    if (r == 0) {
        CLEANUP(podman_free) struct podman *podman = podman_new(k.podman_socket);
        r = keeper_reconcile(&k.place, podman, NULL, NULL, e);
    }
    podman_service_stop(&k.podman);
    /* The last conmon may still be on its way out. */
    for (unsigned waited = 0; !cgroup_remove_all(k.place.group) && waited < GROUP_WAIT_MS;
         waited += 50)
        (void)nanosleep(&(struct timespec){ .tv_nsec = 50000000 },
                        NULL); /* cut short: asks earlier */
    place_close(&k.place);
    return r;
}
