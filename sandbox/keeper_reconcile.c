/* What an earlier life left: adopt what lives, remove what has no owner. Only what carries this
 * instance's UUID: the label on containers, our own directories. */
#include "sandbox/keeper_inside.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "sandbox/jansson_owner.h"

DEFINE_CLEANUP(DIR, closedir)

/* The directory's names, taken before anything in it is changed. */
static zlistx_t *names_in(int dir_fd)
{
    zlistx_t *names = zlistx_new();
    zlistx_set_duplicator(names, (zlistx_duplicator_fn *)strdup);
    zlistx_set_destructor(names, (zlistx_destructor_fn *)zstr_free);
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(closedir) DIR *d = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *entry; d && (entry = readdir(d));)
        if (entry->d_name[0] != '.')
            zlistx_add_end(names, entry->d_name);
    return names;
}

static bool uuid_of_file(const char *name, const char *suffix, struct uuid *ret)
{
    size_t len = strlen(name), end = strlen(suffix);
    return len == 36 + end && strcmp(name + 36, suffix) == 0 && uuid_parse(slice_of(name, 36), ret);
}

static void from_record(const struct place *place, struct podman *podman, const char *file,
                        zhashx_t *kept, void (*adopt)(struct keeper *k, struct box *box),
                        struct keeper *k)
{
    struct err e = ERR_INIT;
    struct uuid id;
    CLEANUP(box_free) struct box *box = NULL;
    if (!uuid_of_file(file, ".json", &id))
        return;
    if (box_load(place, file, &box, &e) < 0 || !uuid_equal(&box->id, &id)) {
        log_warning("record %s is of no use: %s", file, e.text);
        box_forget(place, &id); /* its container and directory are found by their names */
        return;
    }
    bool lives = box_adopt(box, &e) == 0;
    if (lives && adopt && ids_mark(k->ids, box->range)) {
        zhashx_insert(kept, box->id.text, kept);
        return adopt(k, TAKE(box));
    }
    if (adopt)
        log_warning("sandbox=%s is not adopted: %s", id.text,
                    lives ? "its range of ids is not free" : e.text);
    if (box_end(box, place, podman, &e) == 0)
        return;
    log_error("sandbox=%s cannot be removed: %s", id.text, e.text);
    if (adopt && !lives)
        (void)ids_mark(k->ids,
                       box->range); /* never a second sandbox on ids that may still be in use */
}

static int remove_containers(const struct place *place, struct podman *podman, zhashx_t *kept,
                             struct keeper *k, struct err *e)
{
    char label[100];
    snprintf(label, sizeof label, "%s=%s", POLICY_LABEL_INSTANCE, place->instance.text);
    CLEANUP(json_decref) json_t *list = NULL;
    if (podman_list_containers(podman, label, &list, e) < 0)
        return -1;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *container = json_array_get(list, i);
        const char *id = json_string_value(json_object_get(container, "Id"));
        const char *sandbox = json_string_value(
            json_object_get(json_object_get(container, "Labels"), POLICY_LABEL_SANDBOX));
        struct err failed = ERR_INIT;
        if (!id || (sandbox && zhashx_lookup(kept, sandbox)))
            continue;
        if (podman_remove(podman, id, &failed) < 0) {
            log_error("container=%.12s cannot be removed: %s", id, failed.text);
            const char *range = json_string_value(
                json_object_get(json_object_get(container, "Labels"), POLICY_LABEL_RANGE));
            if (k && range)
                (void)ids_mark(k->ids, (unsigned)strtoul(range, NULL, 10)); /* as above */
        } else
            log_info("container=%.12s had no owner: removed", id);
    }
    return 0;
}

static void remove_directories(const struct place *place, zhashx_t *kept)
{
    zlistx_t *names = names_in(place->sandboxes_fd);
    for (const char *name = zlistx_first(names); name; name = zlistx_next(names)) {
        struct uuid id;
        struct err e = ERR_INIT;
        if (uuid_of_file(name, "", &id) && !zhashx_lookup(kept, id.text) &&
            place_remove_sandbox(place, &id, &e) < 0)
            log_error("sandbox=%s: %s", id.text, e.text);
    }
    zlistx_destroy(&names);
    names = names_in(place->logs_fd);
    for (const char *name = zlistx_first(names); name; name = zlistx_next(names)) {
        struct uuid id;
        if (uuid_of_file(name, ".log", &id) && !zhashx_lookup(kept, id.text))
            (void)unlinkat(place->logs_fd, name, 0); /* the next start sees it again */
    }
    zlistx_destroy(&names);
}

int keeper_reconcile(const struct place *place, struct podman *podman,
                     void (*adopt)(struct keeper *k, struct box *box), struct keeper *k,
                     struct err *e)
{
    zhashx_t *kept = zhashx_new();
    zlistx_t *records = names_in(place->records_fd);
    for (const char *name = zlistx_first(records); name; name = zlistx_next(records))
        from_record(place, podman, name, kept, adopt, k);
    zlistx_destroy(&records);
    int r = remove_containers(place, podman, kept, k, e);
    if (r == 0)
        remove_directories(place, kept);
    zhashx_destroy(&kept);
    return r;
}
