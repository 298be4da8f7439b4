/* From the hub's wishes to packages in place.
 *
 *   directories, mounts ─► container ─► its program runs, watched each second ─► removed ─► measured ─► exchanged
 *                                          late, too large, keeper ends: killed                            else nothing */
#include "sandbox/builder.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/small_file.h"
#include "sandbox/builder_host.h"
#include "sandbox/cgroup.h"
#include "sandbox/container_log.h"
#include "sandbox/ids.h"
#include "sandbox/place_packages.h"
#include "sandbox/process.h"

#define LOOK_MS           1000
#define NOTICE_TIMEOUT_MS 2000
#define MAX_NAMES         1000000 /* of files and folders */
#define CERTIFICATES      "/etc/ssl/certs"
#define SIGKILL_EXIT      137

struct paths {
    char tree[PLACE_MAX_PATH], work[PLACE_MAX_PATH], old[PLACE_MAX_PATH], host[PLACE_MAX_PATH],
        log[PLACE_MAX_PATH];
};

const char *builder_status_name(enum builder_status status)
{
    static const char *const NAMES[] = {
        [BUILDER_OK] = "ok",   [BUILDER_ERROR] = "error",         [BUILDER_TIMEOUT] = "timeout",
        [BUILDER_OOM] = "oom", [BUILDER_TOO_LARGE] = "too_large", [BUILDER_DISK_FULL] = "disk_full"
    };
    return NAMES[status];
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Who shares the host's network needs its names. */
static const char *lent_file(const struct builder_options *o, const char *path)
{
    return o->host_network && access(path, R_OK) == 0 ? path : NULL;
}

static int create(const struct builder *b, const struct place *place, struct podman *podman,
                  const struct paths *paths, const struct builder_host *host, const char *name,
                  char ret_id[PODMAN_ID_SIZE], struct err *e)
{
    const struct builder_options *o = &place->options.builder;
    bool may_lend = o->host_settings && access(CERTIFICATES, X_OK) == 0;
    char group[40];
    if (o->wheels_dir && access(o->wheels_dir, R_OK | X_OK) < 0)
        return err_errno(e, ERR_UNAVAILABLE, "the folder of packages (packages/wheels)");
    snprintf(group, sizeof group, "/%s", place->group);
    struct policy_builder builder = {
        .language = b->language,
        .tree_dir = paths->tree,
        .work_dir = paths->work,
        .old_dir = paths->old,
        .host_dir = paths->host,
        .certificates_dir = may_lend ? CERTIFICATES : NULL,
        .wheels_dir = o->wheels_dir,
        .resolv_path = lent_file(o, "/etc/resolv.conf"),
        .hosts_path = lent_file(o, "/etc/hosts"),
        .host_network = o->host_network,
        .environment = (const char *const *)host->environment,
    };
    struct policy_container container = {
        .name = name,
        .instance = place->instance.text,
        .sandbox_id = "",
        .user_id = b->user_id,
        .template_name = b->template_name,
        .range_index = b->range,
        .image_id = b->image_id,
        .first_id = b->first_id,
        .limits = { .memory_bytes = o->memory_bytes,
                    .cpus = o->cpus,
                    .pids = o->pids,
                    .workspace_bytes = o->max_bytes },
        .init_path = place->options.init_path,
        .seccomp_path = place->options.seccomp_path,
        .empty_path = place->empty_path,
        .log_path = paths->log,
        .cgroup_parent = group,
        .builder = &builder,
        .host = place->host,
    };
    char *document = NULL;
    if (policy_create_json(&container, &document, e) < 0)
        return -1;
    int r = podman_create(podman, name, document, ret_id, e);
    free(document);
    return r;
}

/* An image without Python, say. */
static void read_words(struct builder *b, const char *log_path)
{
    CLEANUP_BUF struct buf raw = BUF_INIT(2 * POLICY_LOG_BYTES);
    CLEANUP_BUF struct buf text = BUF_INIT(2 * POLICY_LOG_BYTES);
    (void)small_file_read(AT_FDCWD, log_path, &raw, NULL); /* none: no words */
    container_log_decode(buf_slice(&raw), CONTAINER_LOG_ALL, &text);
    container_log_tail(buf_slice(&text), b->words, sizeof b->words);
}

/* Twice what may be kept: what was downloaded lies beside what is made of it. */
static bool is_too_large(const struct builder *b, const struct place *place)
{
    struct place_size size = { 0 };
    uint64_t max = 2 * (uint64_t)place->options.builder.max_bytes;
    if (place_measure_build(place, &b->id, b->user_id, max, MAX_NAMES, &size, NULL) < 0)
        return false;
    return size.all_bytes > max || size.names > MAX_NAMES || size.is_too_deep;
}

/* What it holds open and has unlinked is in no measure of it. */
static bool is_disk_short(const struct place *place)
{
    struct statvfs st;
    return fstatvfs(place->workspaces_fd, &st) == 0 &&
           (uint64_t)st.f_bavail * st.f_frsize < place->options.builder.min_free_bytes;
}

/* Until it ends or has to. */
static void watch(struct builder *b, const struct place *place, int pidfd)
{
    int64_t due_ms = now_ms() + 1000ll * place->options.builder.timeout_s;
    b->status = BUILDER_OK;
    while (b->status == BUILDER_OK && !process_wait(pidfd, LOOK_MS)) {
        if (atomic_load(b->stop))
            b->status = BUILDER_ERROR;
        else if (now_ms() >= due_ms)
            b->status = BUILDER_TIMEOUT;
        else if (is_too_large(b, place))
            b->status = BUILDER_TOO_LARGE;
        else if (is_disk_short(place))
            b->status = BUILDER_DISK_FULL;
    }
    process_kill(pidfd); /* nothing when it has gone */
}

static int run(struct builder *b, const struct place *place, struct podman *podman, const char *id,
               struct err *e)
{
    struct podman_state state = { 0 };
    struct cgroup_paths cgroup;
    CLEANUP_FD int pidfd = -1;
    uint64_t kills = 0;
    if (podman_start(podman, id, e) < 0 || podman_inspect(podman, id, &state, e) < 0)
        return -1;
    bool is_counted = state.pid > 1 && cgroup_find(state.pid, &cgroup, NULL) == 0;
    if (state.pid > 1 && process_open(state.pid, 0, &pidfd, NULL, NULL) == 0)
        watch(b, place, pidfd);
    is_counted = is_counted && cgroup_read_oom_kills(&cgroup, &kills, NULL) == 0 && kills > 0;
    if (podman_wait(podman, id, NOTICE_TIMEOUT_MS, &state, e) < 0)
        return -1;
    b->exit_code = state.exit_code;
    if (b->status == BUILDER_OK && (state.oom_killed || (is_counted && state.exit_code != 0)))
        b->status = BUILDER_OOM;
    else if (b->status == BUILDER_OK && state.exit_code != 0)
        b->status = BUILDER_ERROR;
    return 0;
}

/* Once nothing of it runs any more. */
static int take(struct builder *b, const struct place *place, struct err *e)
{
    struct place_size size = { 0 };
    uint64_t max = (uint64_t)place->options.builder.max_bytes;
    if (place_measure_build(place, &b->id, b->user_id, UINT64_MAX, MAX_NAMES, &size, e) < 0)
        return -1;
    b->size_bytes = size.tree_bytes;
    if (size.tree_bytes > max || size.names > MAX_NAMES || size.is_too_deep) {
        b->status = BUILDER_TOO_LARGE;
        return 0;
    }
    return place_take_build(place, &b->id, b->user_id, b->language, e);
}

static int make_and_run(struct builder *b, const struct place *place, struct podman *podman,
                        const char *name, struct err *e)
{
    struct paths paths;
    struct builder_host host = { .n = 0 };
    char id[PODMAN_ID_SIZE];
    place_sandbox_path(place, &b->id, "tree", paths.tree);
    place_sandbox_path(place, &b->id, "work", paths.work);
    place_sandbox_path(place, &b->id, "old", paths.old);
    place_sandbox_path(place, &b->id, "host", paths.host);
    place_log_path(place, &b->id, paths.log);
    if (place_make_build(place, &b->id, b->user_id, b->language, b->first_id + IDS_USER, e) < 0 ||
        builder_host_prepare(&place->options.builder, paths.host, environ, &host, e) < 0)
        return -1;
    int r = create(b, place, podman, &paths, &host, name, id, e);
    builder_host_done(&host);
    r = r < 0 ? -1 : run(b, place, podman, id, e);
    read_words(b, paths.log);
    return r;
}

int builder_run(struct builder *b, const struct place *place, struct podman *podman, struct err *e)
{
    char name[80];
    struct err end = ERR_INIT;
    snprintf(name, sizeof name, "%s-build-%s", place->group, b->id.text);
    int r = make_and_run(b, place, podman, name, e);
    if (podman_remove(podman, name, &end) < 0 || place_remove_sandbox(place, &b->id, &end) < 0) {
        b->is_stuck = true;
        log_error("build=%s cannot be removed: %s", b->id.text, end.text);
        if (r == 0)
            r = err_set(e, ERR_SANDBOX, "the builder cannot be removed: %s", end.text);
    }
    if (r == 0 && b->status == BUILDER_OK)
        r = take(b, place, e);
    if (atomic_load(b->stop))
        place_stop_build(place, &b->id, b->user_id);
    return r;
}
