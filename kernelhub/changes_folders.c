/* The folders that are watched: one inotify watch each, found by their place beneath the workspace and never by a path that user code
 * could turn elsewhere: a folder is opened beneath the workspace's own descriptor, and the watch goes to what is open. */
#include "kernelhub/changes_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/beneath.h"
#include "base/log.h"

/* Without IN_EXCL_UNLINK: who writes to files that have no name any more writes, too (quota.c). */
#define MASK                                                                                       \
    (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_CLOSE_WRITE | IN_ONLYDIR)
#define LOOK_ENTRIES 512 /* of a folder, in one go */

static const char NO_ROOM[] =
    "the workspace has more folders than are watched (limits/watched_folders)";
static const char NO_WATCH[] =
    "the host allows no more watches (fs.inotify.max_user_watches, max_user_instances)";
static const char NO_ENTRY[] = "a folder of the workspace cannot be read";

/* ---- tables ---- */

static size_t hash_pointer(const void *key)
{
    return (size_t)(uintptr_t)key;
}

static int compare_pointers(const void *a, const void *b)
{
    return (uintptr_t)a < (uintptr_t)b ? -1 : a != b;
}

static zhashx_t *table_new(void)
{
    zhashx_t *t = zhashx_new();
    zhashx_set_key_hasher(t, hash_pointer);
    zhashx_set_key_comparator(t, compare_pointers);
    zhashx_set_key_duplicator(t, NULL);
    zhashx_set_key_destructor(t, NULL);
    return t;
}

static void *wd_key(int wd)
{
    return (void *)(intptr_t)wd; /* from 1 on */
}

/* Of a folder, not of a path: it stays when a folder above it moves. Keyed, so that nobody makes two names alike. */
static void *name_key(const struct watched *w, const struct folder *f, const char *name)
{
    unsigned char text[sizeof f->id + FILES_MAX_NAME + 1], hash[crypto_shorthash_BYTES];
    size_t n = strnlen(name, FILES_MAX_NAME);
    uint64_t key;
    memcpy(text, &f->id, sizeof f->id);
    memcpy(text + sizeof f->id, name, n);
    (void)crypto_shorthash(hash, text, sizeof f->id + n, w->changes->hash_key); /* never fails */
    memcpy(&key, hash, sizeof key);
    return (void *)(uintptr_t)(key | 1); /* a table has no NULL */
}

void *folders_name(struct watched *w, const struct folder *f, const char *name)
{
    return zhashx_lookup(w->names, name_key(w, f, name));
}

void folders_set_name(struct watched *w, const struct folder *f, const char *name, void *what)
{
    void *key = name_key(w, f, name);
    if (!what)
        zhashx_delete(w->names, key);
    else if (what != CHANGES_FILE || zhashx_size(w->names) < CHANGES_MAX_NAMES)
        zhashx_update(w->names, key, what);
    else
        w->names_full = true;
}

/* ---- folders ---- */

void folder_unref(struct folder *f)
{
    while (f && --f->refs == 0) {
        struct folder *parent = f->parent;
        free(f->name);
        free(f->moved_from);
        free(f);
        f = parent;
    }
}
DEFINE_CLEANUP(struct folder, folder_unref)

/* With one reference. */
static struct folder *folder_new(struct watched *w, struct folder *parent, const char *name,
                                 uint64_t born)
{
    struct folder *f = calloc(1, sizeof *f);
    assert(f);
    *f = (struct folder){ .id = ++w->next_id,
                          .wd = -1,
                          .refs = 1,
                          .parent = parent,
                          .name = strdup(name),
                          .born = born };
    assert(f->name);
    if (parent)
        parent->refs++;
    return f;
}

bool folders_path(const struct folder *f, const char *name, char ret[FILES_MAX_PATH + 1])
{
    char text[FILES_MAX_PATH + 1];
    size_t at = FILES_MAX_PATH;
    text[at] = '\0';
    for (const char *part = name; part;) {
        size_t n = strlen(part);
        if (n + 1 > at)
            return false;
        memcpy(text + (at -= n), part, n);
        const char *above = f && f->parent ? f->name : NULL; /* the workspace itself has no name */
        f = f ? f->parent : NULL;
        if (above && n > 0)
            text[--at] = '/';
        part = above;
    }
    memcpy(ret, text + at, FILES_MAX_PATH + 1 - at);
    return true;
}

void folders_queue(zlistx_t *queue, struct folder *f)
{
    f->refs++;
    (void)zlistx_add_end(queue, f); /* no memory aborts */
}

/* What stands in the folder under this name is no folder any more, or another one. */
static void unname(struct watched *w, const struct folder *f)
{
    if (f->parent && folders_name(w, f->parent, f->name) == f)
        folders_set_name(w, f->parent, f->name, NULL);
}

void folders_drop_watch(struct watched *w, struct folder *f)
{
    if (f->wd < 0)
        return;
    if (zhashx_lookup(w->by_wd, wd_key(f->wd)) == f)
        zhashx_delete(w->by_wd, wd_key(f->wd));
    f->wd = -1;
    w->n_folders--;
    unname(w, f);
    folder_unref(f);
}

static bool is_below(const struct folder *f, const struct folder *above)
{
    for (; f; f = f->parent)
        if (f == above)
            return true;
    return false;
}

void folders_cut(struct watched *w, const struct folder *f)
{
    zlistx_t *cut = zlistx_new();
    for (struct folder *at = zhashx_first(w->by_wd); at; at = zhashx_next(w->by_wd))
        if (is_below(at, f))
            (void)zlistx_add_end(cut, at); /* no memory aborts */
    for (struct folder *at; (at = zlistx_detach(cut, NULL));) {
        (void)inotify_rm_watch(w->inotify_fd, at->wd); /* may be gone with its folder */
        folders_drop_watch(w, at);
    }
    zlistx_destroy(&cut);
}

void folders_move(struct watched *w, struct folder *f, struct folder *parent, const char *name)
{
    struct folder *old = f->parent;
    for (const struct folder *at = parent; at; at = at->parent)
        if (at == f)
            return; /* never so on a disk */
    free(f->name);
    f->name = strdup(name);
    assert(f->name);
    f->parent = parent;
    parent->refs++;
    folders_set_name(w, parent, name, f);
    folder_unref(old);
}

static void say_why(struct watched *w, const char *why)
{
    pthread_mutex_lock(&w->lock);
    if (!w->why)
        w->why = why;
    pthread_mutex_unlock(&w->lock);
}

void folders_add(struct watched *w, zlistx_t *queue, struct folder *parent, const char *name,
                 uint64_t born)
{
    if (w->n_folders + zlistx_size(w->known) + zlistx_size(w->fresh) >= w->changes->max_folders) {
        folders_set_name(w, parent, name, NULL);
        say_why(w, NO_ROOM);
        return;
    }
    struct folder *f = folder_new(w, parent, name, born);
    folders_set_name(w, parent, name, f);
    folders_queue(queue, f);
    folder_unref(f); /* the queue has it */
}

/* ---- looking ---- */

static void add_watch(struct watched *w, struct folder *f, int fd)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int wd = inotify_add_watch(w->inotify_fd, path, MASK);
    if (wd < 0) {
        say_why(w, errno == EACCES ? NO_ENTRY : NO_WATCH);
        return;
    }
    if (f->wd == wd)
        return;
    struct folder *before = zhashx_lookup(w->by_wd, wd_key(wd));
    if (before)
        folders_drop_watch(w, before); /* the same folder, when it was elsewhere */
    f->wd = wd;
    f->refs++;
    w->n_folders++;
    (void)zhashx_insert(w->by_wd, wd_key(wd), f); /* it is not in there */
}

/* Its watch first: what comes between that and a look is seen by both. */
static DIR *open_folder(struct watched *w, struct folder *f)
{
    char path[FILES_MAX_PATH + 1];
    if (!folders_path(f->parent, f->name, path)) {
        say_why(w, NO_ENTRY);
        unname(w, f);
        return NULL;
    }
    int fd = beneath_open_errno(w->root_fd, path[0] ? path : ".", O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) {
        if (errno == EACCES || errno == EPERM)
            say_why(w, NO_ENTRY);
        unname(w, f); /* else it is gone already, or something else */
        return NULL;
    }
    if (f->wd < 0 && w->n_folders >= w->changes->max_folders)
        say_why(w, NO_ROOM);
    else
        add_watch(w, f, fd);
    DIR *d = f->wd >= 0 ? fdopendir(fd) : NULL;
    if (!d) {
        (void)close(fd); /* an open folder closes without an error */
        unname(w, f);
    }
    return d;
}

static bool is_folder(DIR *d, const struct dirent *entry, bool *ret_is_file)
{
    struct stat st;
    *ret_is_file = entry->d_type == DT_REG;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    if (fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    *ret_is_file = S_ISREG(st.st_mode);
    return S_ISDIR(st.st_mode);
}

static void on_file(struct watched *w, const struct folder *f, const char *name)
{
    char path[FILES_MAX_PATH + 1];
    bool was_there = w->names_full || folders_name(w, f, name);
    folders_set_name(w, f, name, CHANGES_FILE);
    if (!folders_path(f, name, path))
        return;
    if (f->born) {
        fold_collect(w, f->born);
        fold_touch(w, path, false, f->born);
    }
    if (!f->moved_from)
        return;
    char before[FILES_MAX_PATH + 1];
    fold_collect(w, f->moved);
    if (was_there &&
        snprintf(before, sizeof before, "%s/%s", f->moved_from, name) < (int)sizeof before)
        fold_touch(w, before, true, f->born);
    fold_touch(w, path, false, f->born);
}

/* Where a folder within one that has moved came from. */
static void take_along(struct watched *w, const struct folder *above, struct folder *f)
{
    if (!above->moved_from)
        return;
    free(f->moved_from);
    if (asprintf(&f->moved_from, "%s/%s", above->moved_from, f->name) < 0)
        abort();
    f->moved = above->moved;
    folders_queue(w->fresh, f);
}

static void on_folder(struct watched *w, struct folder *f, const char *name)
{
    void *known = folders_name(w, f, name);
    if (known && known != CHANGES_FILE)
        take_along(w, f, known);
    else
        folders_add(w, w->at_queue, f, name, f->born);
}

static void end_look(struct watched *w)
{
    if (w->dir)
        (void)closedir(w->dir); /* it was read */
    w->dir = NULL;
    if (w->at)
        free(TAKE(w->at->moved_from));
    folder_unref(TAKE(w->at));
}

bool folders_look(struct watched *w, zlistx_t *queue)
{
    if (!w->dir) {
        w->at = zlistx_detach(queue, NULL);
        w->at_queue = queue;
        if (!w->at)
            return false;
        w->dir = open_folder(w, w->at);
        if (!w->dir)
            end_look(w);
        return true;
    }
    for (unsigned n = 0; n < LOOK_ENTRIES; n++) {
        bool is_file;
        const struct dirent *entry = readdir(w->dir);
        if (!entry) {
            end_look(w);
            return true;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (is_folder(w->dir, entry, &is_file))
            on_folder(w, w->at, entry->d_name);
        else if (is_file)
            on_file(w, w->at, entry->d_name);
    }
    return true;
}

/* ---- all ---- */

static void drop_queue(zlistx_t **queue)
{
    for (struct folder *f; *queue && (f = zlistx_detach(*queue, NULL));)
        folder_unref(f);
    zlistx_destroy(queue);
}

void folders_forget(struct watched *w)
{
    end_look(w);
    for (size_t i = 0; i < w->n_moves; i++) {
        folder_unref(w->moves[i].folder);
        free(w->moves[i].path);
    }
    w->n_moves = 0;
    drop_queue(&w->fresh);
    drop_queue(&w->known);
    zhashx_destroy(&w->names);
    for (struct folder *f = w->by_wd ? zhashx_first(w->by_wd) : NULL; f; f = zhashx_next(w->by_wd))
        folder_unref(f);
    zhashx_destroy(&w->by_wd);
    w->n_folders = 0;
    pthread_mutex_lock(&w->lock);
    close_fd_at(&w->inotify_fd);
    w->inotify_fd = -1;
    pthread_mutex_unlock(&w->lock);
    close_fd_at(&w->root_fd);
    w->root_fd = -1;
}

/* What the old queue still had is of no use: whoever runs is not told all. */
static void begin_anew(struct watched *w, int inotify_fd, const char *why)
{
    pthread_mutex_lock(&w->lock);
    for (struct changes_run *run = w->runs; run; run = run->next)
        if (!run->missed)
            run->missed = CHANGES_OVERFLOW;
    w->inotify_fd = inotify_fd;
    w->n_stale = w->n_read;
    w->is_ready = false;
    w->why = why;
    pthread_mutex_unlock(&w->lock);
}

void folders_watch(struct watched *w)
{
    struct err e = ERR_INIT;
    folders_forget(w);
    w->lost = w->names_full = false;
    w->looked_ms = zclock_mono();
    w->n_looked = w->n_taken;
    w->names = table_new();
    w->by_wd = table_new();
    w->fresh = zlistx_new();
    w->known = zlistx_new();
    w->root_fd = beneath_make_dir(w->changes->workspaces_fd, w->workspace, 0700, &e);
    int fd = w->root_fd < 0 ? -1 : inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0)
        log_warning("workspace %s is not watched: %s", w->workspace,
                    w->root_fd < 0 ? e.text : strerror(errno));
    begin_anew(w, fd, fd >= 0 ? NULL : w->root_fd < 0 ? NO_ENTRY : NO_WATCH);
    if (fd < 0)
        return;
    struct folder *root = folder_new(w, NULL, "", 0);
    folders_queue(w->known, root);
    folder_unref(root);
}
