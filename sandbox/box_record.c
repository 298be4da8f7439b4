/* The record of a box: what the next keeper needs to find its processes and its range again. */
#include "sandbox/box.h"

#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/small_file.h"
#include "sandbox/jansson_owner.h"
#include "sandbox/process.h"

#define MAX_RECORD_BYTES 65536

static void file_name(const struct uuid *id, char ret[48])
{
    snprintf(ret, 48, "%s.json", id->text);
}

int box_save(const struct box *b, const struct place *place, struct err *e)
{
    CLEANUP(json_decref)
    json_t *record = json_pack(
        "{s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:s, s:i, s:s, s:i, s:I, s:i, s:I, s:s, "
        "s:{s:I, s:f, s:I, s:I}}",
        "boot_id", place->boot_id.text, "sandbox_id", b->id.text, "user_id", b->user_id, "template",
        b->template_name, "private", b->private_workspace, "image", b->image, "image_id",
        b->image_id, "digest", b->digest, "range", (int)b->range, "container", b->container, "pid",
        b->pid, "pid_start", (json_int_t)b->pid_start, "warden_pid", b->warden_pid, "warden_start",
        (json_int_t)b->warden_start, "epoch", b->epoch.text, "limits", "memory_bytes",
        (json_int_t)b->limits.memory_bytes, "cpus", b->limits.cpus, "pids",
        (json_int_t)b->limits.pids, "workspace_bytes", (json_int_t)b->limits.workspace_bytes);
    char *text = record ? json_dumps(record, JSON_COMPACT) : NULL;
    if (!text)
        return err_set(e, ERR_INTERNAL, "make the record of sandbox %s", b->id.text);
    char name[48];
    file_name(&b->id, name);
    int r = small_file_write(place->records_fd, name, slice_str(text), 0600, e);
    free(text);
    return r;
}

static bool copy(char *ret, size_t size, const char *from)
{
    return snprintf(ret, size, "%s", from) < (int)size;
}

static int unpack(json_t *record, struct box *b, const struct place *place, struct err *e)
{
    const char *boot, *id, *user, *template_name, *image, *image_id, *digest, *container, *epoch;
    int range, private_workspace;
    json_int_t pid_start, warden_start, memory, pids, workspace;
    json_error_t why;
    if (json_unpack_ex(record, &why, 0,
                       "{s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:s, s:i, s:s, s:i, s:I, s:i, s:I, "
                       "s:s, s:{s:I, s:F, s:I, s:I}}",
                       "boot_id", &boot, "sandbox_id", &id, "user_id", &user, "template",
                       &template_name, "private", &private_workspace, "image", &image, "image_id",
                       &image_id, "digest", &digest, "range", &range, "container", &container,
                       "pid", &b->pid, "pid_start", &pid_start, "warden_pid", &b->warden_pid,
                       "warden_start", &warden_start, "epoch", &epoch, "limits", "memory_bytes",
                       &memory, "cpus", &b->limits.cpus, "pids", &pids, "workspace_bytes",
                       &workspace) < 0)
        return err_set(e, ERR_INTERNAL, "a record is damaged: %s", why.text);
    if (!uuid_parse(slice_str(id), &b->id) || !uuid_parse(slice_str(epoch), &b->epoch) ||
        range < 0 || !copy(b->user_id, sizeof b->user_id, user) ||
        !copy(b->template_name, sizeof b->template_name, template_name) ||
        !copy(b->image, sizeof b->image, image) ||
        !copy(b->image_id, sizeof b->image_id, image_id) ||
        !copy(b->digest, sizeof b->digest, digest) ||
        !copy(b->container, sizeof b->container, container))
        return err_set(e, ERR_INTERNAL, "a record is damaged");
    b->range = (unsigned)range;
    b->private_workspace = private_workspace;
    b->pid_start = (uint64_t)pid_start;
    b->warden_start = (uint64_t)warden_start;
    b->limits.memory_bytes = memory;
    b->limits.pids = pids;
    b->limits.workspace_bytes = workspace;
    if (strcmp(boot, place->boot_id.text) != 0)
        b->pid = b->warden_pid = 0; /* these numbers belong to a life before */
    return 0;
}

int box_load(const struct place *place, const char *file, struct box **ret, struct err *e)
{
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_RECORD_BYTES);
    if (small_file_read(place->records_fd, file, &text, e) < 0)
        return -1;
    CLEANUP(json_decref) json_t *record = json_loadb(text.data ? text.data : "", text.len, 0, NULL);
    CLEANUP(box_free) struct box *b = box_new(NULL);
    if (unpack(record, b, place, e) < 0)
        return err_in(e, file);
    *ret = TAKE(b);
    return 0;
}

void box_forget(const struct place *place, const struct uuid *id)
{
    char name[48];
    file_name(id, name);
    (void)unlinkat(place->records_fd, name, 0); /* there may be none */
}

int box_adopt(struct box *b, struct err *e)
{
    /* The warden first, so that a box that is ended for want of a container takes its warden along. */
    struct err warden = ERR_INIT, container = ERR_INIT;
    int w = process_open(b->warden_pid, b->warden_start, &b->warden_pidfd, NULL, &warden);
    int c = process_open(b->pid, b->pid_start, &b->pidfd, NULL, &container);
    if (c < 0)
        return err_set(e, container.code, "container: %s", container.text);
    if (w < 0)
        b->warden_pidfd = -1;
    return cgroup_find(b->pid, &b->cgroup, e);
}
