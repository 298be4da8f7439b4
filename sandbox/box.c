#include "sandbox/box.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/small_file.h"
#include "sandbox/box_warden.h"
#include "sandbox/ids.h"
#include "sandbox/container_log.h"
#include "sandbox/place_packages.h"
#include "sandbox/process.h"

#define LISTEN_TIMEOUT_MS 10000
#define READY_TIMEOUT_MS  10000
#define NOTICE_TIMEOUT_MS 1000
#define SIGKILL_EXIT      137

struct box *box_new(const struct verb_request *request)
{
    struct box *b = calloc(1, sizeof *b);
    assert(b);
    b->pidfd = b->warden_pidfd = b->warden_fd = -1;
    if (!request)
        return b;
    b->id = request->sandbox_id;
    memcpy(b->user_id, request->user_id, sizeof b->user_id);
    memcpy(b->template_name, request->template_name, sizeof b->template_name);
    b->private_workspace = request->private_workspace;
    b->limits = request->limits;
    return b;
}

void box_free(struct box *b)
{
    if (!b)
        return;
    close_fd_at(&b->pidfd);
    close_fd_at(&b->warden_pidfd);
    close_fd_at(&b->warden_fd);
    free(b);
}

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void box_container_name(const struct place *place, const struct uuid *id, char ret[80])
{
    snprintf(ret, 80, "%s-%s", place->group, id->text);
}

static int create_container(struct box *b, const struct place *place, struct podman *podman,
                            struct err *e)
{
    char name[80], wall[PLACE_MAX_PATH], workspace[PLACE_MAX_PATH], log_path[PLACE_MAX_PATH];
    char packages[PLACE_MAX_PATH];
    box_container_name(place, &b->id, name);
    place_sandbox_path(place, &b->id, "wall", wall);
    place_sandbox_path(place, &b->id, "workspace", workspace);
    place_sandbox_path(place, &b->id, "packages", packages);
    place_log_path(place, &b->id, log_path);
    char group[40];
    snprintf(group, sizeof group, "/%s", place->group);
    struct policy_container container = {
        .name = name,
        .instance = place->instance.text,
        .sandbox_id = b->id.text,
        .user_id = b->user_id,
        .template_name = b->template_name,
        .range_index = b->range,
        .image_id = b->image_id,
        .first_id = b->first_id,
        .limits = b->limits,
        .init_path = place->options.init_path,
        .seccomp_path = place->options.seccomp_path,
        .empty_path = place->empty_path,
        .wall_dir = wall,
        .packages_dir = packages,
        .workspace_dir = workspace,
        .log_path = log_path,
        .cgroup_parent = group,
        .host = place->host,
    };
    char *document = NULL;
    if (policy_create_json(&container, &document, e) < 0)
        return -1;
    int64_t begin = now_us();
    int r = podman_create(podman, name, document, b->container, e);
    free(document);
    b->phases.create_us = now_us() - begin;
    return r;
}

/* Why init ended at once: the end of what it wrote, one line, whatever it is made printable. */
static int told_by_log(struct box *b, const struct place *place, struct err *e)
{
    CLEANUP_BUF struct buf raw = BUF_INIT(2 * POLICY_LOG_BYTES);
    CLEANUP_BUF struct buf text = BUF_INIT(2 * POLICY_LOG_BYTES);
    char path[PLACE_MAX_PATH], tail[300];
    place_log_path(place, &b->id, path);
    (void)small_file_read(AT_FDCWD, path, &raw, NULL); /* none: an empty tail */
    container_log_decode(buf_slice(&raw), CONTAINER_LOG_ALL, &text);
    container_log_tail(buf_slice(&text), tail, sizeof tail);
    return err_set(e, ERR_SANDBOX, "the container ended at once%s%s", *tail ? ": " : "", tail);
}

static int start_container(struct box *b, const struct place *place, struct podman *podman,
                           struct err *e)
{
    struct podman_state state;
    int64_t begin = now_us();
    if (podman_start(podman, b->container, e) < 0 ||
        podman_inspect(podman, b->container, &state, e) < 0)
        return -1;
    b->phases.start_us = now_us() - begin;
    if (state.pid <= 1 || process_open(state.pid, 0, &b->pidfd, &b->pid_start, NULL) < 0 ||
        cgroup_find(state.pid, &b->cgroup, e) < 0)
        return told_by_log(b, place, e);
    b->pid = state.pid;
    return 0;
}

static int wait_warden(struct box *b, const char *word, unsigned timeout_ms, struct err *e)
{
    int64_t begin = now_us();
    int r = box_warden_expect(b, word, timeout_ms, e);
    b->phases.warden_us += now_us() - begin;
    return r;
}

static int still_wanted(struct box *b, struct err *e)
{
    return atomic_load(&b->unwanted)
               ? err_set(e, ERR_GONE, "the sandbox was destroyed while it was made")
               : 0;
}

/*   directories, workspace ─► warden ──(binds its sockets)──────► "listening" ─┐
 *                                └─► podman create ───────────────────────────┴─► start ─► pid ─► warden ─► "ready"  */
int box_make(struct box *b, const struct place *place, struct podman *podman, struct err *e)
{
    int64_t begin = now_us();
    if (policy_check_limits(&b->limits, e) < 0)
        return -1;
    if (place_make_sandbox(place, &b->id, b->first_id + IDS_WARDEN, e) < 0)
        return err_in(e, "make the sandbox's directories");
    if (place_mount_workspace(place, &b->id, b->user_id, b->private_workspace,
                              b->first_id + IDS_USER, e) < 0 ||
        place_mount_packages(place, &b->id, b->user_id, b->first_id + IDS_USER, e) < 0) {
        e->code = e->code == ERR_FORBIDDEN
                      ? ERR_FORBIDDEN
                      : ERR_SANDBOX; /* never "not found": that is the image's */
        return err_in(e, "prepare the workspace");
    }
    if (box_warden_spawn(b, place, e) < 0 || box_save(b, place, e) < 0)
        return err_in(e, "start the warden");
    if (create_container(b, place, podman, e) < 0 || still_wanted(b, e) < 0)
        return err_in(e, "create the container");
    if (wait_warden(b, "listening", LISTEN_TIMEOUT_MS, e) < 0)
        return -1;
    if (start_container(b, place, podman, e) < 0 || still_wanted(b, e) < 0)
        return err_in(e, "start the container");
    if (box_save(b, place, e) < 0 || box_warden_tell(b, e) < 0)
        return -1;
    if (wait_warden(b, "ready", READY_TIMEOUT_MS, e) < 0)
        return process_wait(b->pidfd, 0) ? told_by_log(b, place, e) : -1;
    b->phases.total_us = now_us() - begin;
    return 0;
}

int box_replace_warden(struct box *b, const struct place *place, struct err *e)
{
    if (b->warden_pidfd >= 0)
        process_end(b->warden_pid, b->warden_pidfd); /* it is dead: reaped */
    close_fd_at(&b->warden_pidfd);
    close_fd_at(&b->warden_fd);
    if (box_warden_spawn(b, place, e) < 0 || box_save(b, place, e) < 0 ||
        box_warden_expect(b, "listening", LISTEN_TIMEOUT_MS, e) < 0 || box_warden_tell(b, e) < 0 ||
        box_warden_expect(b, "ready", READY_TIMEOUT_MS, e) < 0)
        return err_in(e, "start another warden");
    return 0;
}

const char *box_reason_name(enum box_reason reason)
{
    static const char *const NAMES[] = { [BOX_DESTROYED] = "destroyed",
                                         [BOX_DIED] = "died",
                                         [BOX_OOM] = "oom",
                                         [BOX_KILLED] = "killed" };
    return NAMES[reason];
}

void box_examine(struct box *b, const struct place *place, struct podman *podman,
                 struct box_death *ret)
{
    uint64_t kills = 0;
    /* First of all: the control group goes away as soon as Podman cleans up. */
    bool counted = cgroup_read_oom_kills(&b->cgroup, &kills, NULL) == 0 && kills > 0;
    struct podman_state state = { 0 };
    *ret =
        (struct box_death){ .reason = BOX_DIED, .exit_code = -1, .message = "the container ended" };
    if (podman_wait(podman, b->container, NOTICE_TIMEOUT_MS, &state, NULL) < 0)
        return;
    ret->exit_code = state.exit_code;
    if (state.oom_killed || (counted && state.exit_code == SIGKILL_EXIT)) {
        ret->reason = BOX_OOM;
        snprintf(ret->message, sizeof ret->message,
                 "the sandbox's memory limit of %lld bytes was passed",
                 (long long)b->limits.memory_bytes);
    } else {
        snprintf(ret->message, sizeof ret->message, "the container ended with exit code %d",
                 state.exit_code);
    }
}

int box_end(struct box *b, const struct place *place, struct podman *podman, struct err *e)
{
    process_kill(b->pidfd); /* sooner than Podman would */
    box_warden_end(b, place);
    char name[80];
    box_container_name(place, &b->id, name);
    if (podman_remove(podman, name, e) < 0 || place_remove_sandbox(place, &b->id, e) < 0)
        return -1;
    box_forget(place, &b->id);
    return 0;
}
