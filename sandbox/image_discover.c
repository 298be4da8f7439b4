#include "sandbox/image_discover.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/small_file.h"
#include "sandbox/container_log.h"
#include "sandbox/kernelspecs.h"

#define RUN_TIMEOUT_MS 20000
#define LOG_BYTES      (1 << 20)
#define MAX_RECORD_BYTES                                                                           \
    (2 * ((size_t)KERNELSPECS_MAX_BYTES +                                                          \
          KERNELSPECS_MAX_LOGOS_BYTES)) /* of a file, above what is taken */

static const struct verb_limits LIMITS = {
    .memory_bytes = 256ll << 20, .cpus = 1, .pids = 32, .workspace_bytes = 1 << 20
};

static int create(const struct place *place, struct podman *podman, unsigned range,
                  unsigned first_id, const struct image *image, const char *log_path,
                  char id[PODMAN_ID_SIZE], struct err *e)
{
    char name[80], group[40];
    snprintf(name, sizeof name, "%s-discover-%.12s", place->group, image->id);
    snprintf(group, sizeof group, "/%s", place->group);
    struct policy_container container = {
        .name = name,
        .instance = place->instance.text,
        .sandbox_id = "",
        .user_id = "",
        .template_name = image->template_name,
        .range_index = range,
        .image_id = image->id,
        .first_id = first_id,
        .limits = LIMITS,
        .init_path = place->options.init_path,
        .seccomp_path = place->options.seccomp_path,
        .empty_path = place->empty_path,
        .log_path = log_path,
        .log_bytes = LOG_BYTES,
        .cgroup_parent = group,
        .argument = "discover",
        .host = place->host,
    };
    char *document = NULL;
    if (policy_create_json(&container, &document, e) < 0)
        return -1;
    (void)podman_remove(podman, name, NULL); /* left by a keeper that died meanwhile */
    int r = podman_create(podman, name, document, id, e);
    free(document);
    return r;
}

static int run(struct podman *podman, const char *id, struct err *e)
{
    struct podman_state state;
    if (podman_start(podman, id, e) < 0 || podman_wait(podman, id, RUN_TIMEOUT_MS, &state, e) < 0)
        return -1;
    return state.exit_code == 0
               ? 0
               : err_set(e, ERR_SANDBOX, "it ended with exit code %d", state.exit_code);
}

static int look(const struct place *place, struct podman *podman, unsigned range, unsigned first_id,
                const struct image *image, struct buf *specs, struct buf *logos, struct err *e)
{
    CLEANUP_BUF struct buf file = BUF_INIT(2 * LOG_BYTES);
    CLEANUP_BUF struct buf printed = BUF_INIT(2 * LOG_BYTES);
    char id[PODMAN_ID_SIZE], log_path[PLACE_MAX_PATH];
    snprintf(log_path, sizeof log_path, "%.200s/logs/discover.log", place->keeper_dir);
    (void)unlink(log_path); /* there may be none */
    if (create(place, podman, range, first_id, image, log_path, id, e) < 0)
        return -1;
    int r = run(podman, id, e);
    if (podman_remove(podman, id, r < 0 ? NULL : e) < 0)
        r = -1;
    if (small_file_read(AT_FDCWD, log_path, &file, r < 0 ? NULL : e) < 0)
        return -1;
    (void)unlink(log_path); /* the next run removes it otherwise */
    container_log_decode(buf_slice(&file), r < 0 ? CONTAINER_LOG_STDERR : CONTAINER_LOG_STDOUT,
                         &printed);
    if (r < 0) {
        char tail[200];
        container_log_tail(buf_slice(&printed), tail, sizeof tail);
        if (e->text[0] && tail[0])
            snprintf(e->text + strlen(e->text), sizeof e->text - strlen(e->text), ": %s", tail);
        return -1;
    }
    if (!kernelspecs_parse(buf_slice(&printed), specs, logos))
        return err_set(e, ERR_SANDBOX, "what it says of its kernels is malformed");
    return 0;
}

static char *copy(struct slice text)
{
    char *copy = strndup(text.data, text.len);
    assert(copy);
    return copy;
}

static void remember(const struct place *place, const char *file, const struct image *image)
{
    CLEANUP_BUF struct buf record = BUF_INIT(MAX_RECORD_BYTES);
    struct err e = ERR_INIT;
    kernelspecs_write_record(slice_str(image->kernelspecs), slice_str(image->logos), &record);
    if (small_file_write(place->images_fd, file, buf_slice(&record), 0600, &e) < 0)
        log_warning("image=%s is not remembered: %s", log_quote(slice_str(image->name)), e.text);
}

static void find(const struct place *place, struct podman *podman, unsigned range,
                 unsigned first_id, const char *file, struct image *image)
{
    CLEANUP_BUF struct buf specs = BUF_INIT(2 * KERNELSPECS_MAX_BYTES);
    CLEANUP_BUF struct buf logos = BUF_INIT(2 * KERNELSPECS_MAX_LOGOS_BYTES);
    struct err e = ERR_INIT;
    if (look(place, podman, range, first_id, image, &specs, &logos, &e) < 0) {
        log_warning("image=%s cannot be looked into: %s", log_quote(slice_str(image->name)),
                    e.text);
        return;
    }
    image->kernelspecs = buf_take(&specs);
    image->logos = buf_take(&logos);
    remember(place, file, image);
    log_info("image=%s template=%s found kernels", log_quote(slice_str(image->name)),
             image->template_name);
}

void image_discover(const struct place *place, struct podman *podman, unsigned range,
                    unsigned first_id, struct image *image)
{
    CLEANUP_BUF struct buf record = BUF_INIT(MAX_RECORD_BYTES);
    struct slice specs, logos;
    char file[100];
    snprintf(file, sizeof file, "%s.json", image->digest + strlen("sha256:"));
    bool is_there = small_file_read(place->images_fd, file, &record, NULL) == 0;
    if (is_there && kernelspecs_read_record(buf_slice(&record), &specs, &logos)) {
        image->kernelspecs = copy(specs);
        image->logos = copy(logos);
        return;
    }
    find(place, podman, range, first_id, file, image);
    if (!image->kernelspecs && is_there && kernelspecs_valid(buf_slice(&record)))
        image->kernelspecs = copy(buf_slice(&record));
}
