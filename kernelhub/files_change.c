/* Folders made, files moved, copied and deleted. What is named is found beneath the workspace again at each step; a tree that
 * changes under our hands costs at most an entry that is left out or left over. */
#include "kernelhub/files_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define COPY_BYTES (256u * 1024)

int files_make_folder(struct tree *t, const char *path, struct err *e)
{
    CLEANUP(changes_own_end) struct changes_own *own = tree_own(t, path);
    const char *name;
    struct stat st;
    CLEANUP_FD int parent = tree_open_parent(t, path, &name, e);
    if (parent < 0)
        return -1;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return files_errno(e, path);
    }
    if (account_take(t->account, t, 0, 1, e) < 0)
        return -1;
    if (mkdirat(parent, name, 0755) < 0)
        return files_errno(e, path);
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        account_on_put(t->account, &st, NULL);
    return 0;
}

/* From the workspace on, so that what is in the way is named. */
int files_make_parents(struct tree *t, const char *path, struct err *e)
{
    char folder[FILES_MAX_PATH + 1];
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        struct err made = ERR_INIT;
        struct files_stat st;
        (void)snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path); /* fits */
        if (files_stat(t, folder, &st, &made) == 0 && st.type == FILES_FOLDER)
            continue;
        if (made.code == ERR_NONE) {
            errno = st.type == FILES_FILE ? EEXIST : ELOOP;
            return files_errno(e, folder);
        }
        made = (struct err)ERR_INIT;
        if (files_make_folder(t, folder, &made) < 0 && made.code != ERR_CONFLICT) {
            *e = made;
            return -1;
        }
    }
    return 0;
}

/* ---- deleting ---- */

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int delete_tree(struct tree *t, int dir_fd, const char *name, int depth, struct err *e)
{
    if (files_go_on(t, e) < 0)
        return -1;
    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR)
        return files_errno(e, name);
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (errno != ENOTEMPTY && errno != EEXIST)
        return files_errno(e, name);
    if (depth == 0)
        return err_set(e, ERR_TOO_LARGE, "the folders are nested more than %d deep",
                       FILES_MAX_DEPTH);
    CLEANUP(closedir) DIR *d = files_open_dir(dir_fd, name);
    if (!d)
        return files_errno(e, name);
    for (struct dirent *entry; (entry = readdir(d));)
        if (!is_dots(entry->d_name) && delete_tree(t, dirfd(d), entry->d_name, depth - 1, e) < 0)
            return -1;
    return unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? files_errno(e, name) : 0;
}

/* A folder that goes with all that is in it only may, for now. */
static int delete_one(struct tree *t, int parent, const char *name, const char *path, bool all,
                      struct stat *ret_gone, struct err *e)
{
    bool is_there = fstatat(parent, name, ret_gone, AT_SYMLINK_NOFOLLOW) == 0;
    int saved = errno;
    if (tree_check_guard(t, is_there ? ret_gone : NULL, e) < 0)
        return -1;
    errno = saved;
    if (!is_there)
        return files_errno(e, path);
    if (S_ISDIR(ret_gone->st_mode) && all)
        return 0;
    if (unlinkat(parent, name, S_ISDIR(ret_gone->st_mode) ? AT_REMOVEDIR : 0) == 0)
        return 0;
    if (errno == ENOTEMPTY || errno == EEXIST)
        return err_set(e, ERR_CONFLICT, "the folder is not empty");
    return files_errno(e, path);
}

int files_delete(struct tree *t, const char *path, bool all, struct err *e)
{
    CLEANUP(changes_own_end) struct changes_own *own = tree_own(t, path);
    const char *name;
    struct stat st = { .st_nlink = 0 };
    CLEANUP_FD int parent = tree_open_parent(t, path, &name, e);
    if (parent < 0)
        return -1;
    account_lock_place(t->account);
    int rc = delete_one(t, parent, name, path, all, &st, e);
    account_unlock_place(t->account);
    if (rc == 0 && all && S_ISDIR(st.st_mode)) {
        rc = delete_tree(t, parent, name, FILES_MAX_DEPTH, e);
        account_on_tree_gone(t->account);
    } else if (rc == 0) {
        account_on_gone(t->account, &st);
    }
    return rc;
}

/* ---- moving ---- */

struct move {
    int source, target; /* folders */
    const char *from_name, *to_name, *from, *to;
    bool replace;
};

static int move_one(struct tree *t, const struct move *m, struct err *e)
{
    struct stat st, gone;
    bool is_there = fstatat(m->source, m->from_name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    int saved = errno;
    if (tree_check_guard(t, is_there ? &st : NULL, e) < 0)
        return -1;
    errno = saved;
    if (!is_there)
        return files_errno(e, m->from);
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) { /* landlock lets us make no links */
        errno = S_ISLNK(st.st_mode) ? ELOOP : ENXIO;
        return files_errno(e, m->from);
    }
    bool replaces = m->replace && fstatat(m->target, m->to_name, &gone, AT_SYMLINK_NOFOLLOW) == 0;
    if (renameat2(m->source, m->from_name, m->target, m->to_name,
                  m->replace ? 0 : RENAME_NOREPLACE) < 0)
        return errno == ENOTDIR ? err_set(e, ERR_INVALID, "a folder cannot replace a file")
                                : files_errno(e, errno == EINVAL ? m->from : m->to);
    if (replaces)
        account_on_gone(t->account, &gone);
    return 0;
}

int files_rename(struct tree *t, const char *from, const char *to, bool replace, struct err *e)
{
    CLEANUP(changes_own_end) struct changes_own *own = tree_own(t, from);
    CLEANUP(changes_own_end) struct changes_own *own_too = tree_own(t, to);
    const char *from_name, *to_name;
    CLEANUP_FD int source = tree_open_parent(t, from, &from_name, e);
    CLEANUP_FD int target = source < 0 ? -1 : tree_open_parent(t, to, &to_name, e);
    if (target < 0)
        return -1;
    const struct move m = { source, target, from_name, to_name, from, to, replace };
    account_lock_place(t->account);
    int rc = move_one(t, &m, e);
    account_unlock_place(t->account);
    return rc;
}

/* ---- copying ---- */

static int copy_bytes(struct tree *t, struct file *f, struct draft *d, struct err *e)
{
    CLEANUP_BUF struct buf chunk = BUF_INIT(COPY_BYTES);
    char *room = buf_room(&chunk, COPY_BYTES);
    ssize_t n = room ? 1 : err_set(e, ERR_UNAVAILABLE, "no memory");
    while (n > 0) {
        if (files_go_on(t, e) < 0)
            return -1;
        n = file_read(f, draft_bytes(d), room, COPY_BYTES, e);
        if (n > 0 && draft_add(d, slice_of(room, (size_t)n), e) < 0)
            return -1;
    }
    return (int)n;
}

static int copy_file(struct tree *t, const char *from, const char *to, bool replace, struct err *e)
{
    CLEANUP(file_close) struct file *f = NULL;
    CLEANUP(draft_free) struct draft *d = NULL;
    struct files_stat st;
    if (files_open(t, from, &f, &st, e) < 0 || files_draft(t, &d, e) < 0 ||
        copy_bytes(t, f, d, e) < 0)
        return -1;
    draft_set_mode(d, st.mode);
    return draft_commit(d, t, to, replace, &st, e);
}

struct copy {
    struct tree *tree;
    const char *from, *to;
    int depth;
};

static int copy_any(struct tree *t, const char *from, const char *to, const struct files_stat *st,
                    bool replace, int depth, struct err *e);

static int copy_entry(void *arg, const char *name, const struct files_stat *st, struct err *e)
{
    const struct copy *c = arg;
    char from[FILES_MAX_PATH + 1], to[FILES_MAX_PATH + 1];
    if (snprintf(from, sizeof from, "%s/%s", c->from, name) >= (int)sizeof from ||
        snprintf(to, sizeof to, "%s/%s", c->to, name) >= (int)sizeof to)
        return err_set(e, ERR_INVALID, "a path in the copy would be longer than %d bytes",
                       FILES_MAX_PATH);
    return copy_any(c->tree, from, to, st, false, c->depth - 1, e);
}

static int copy_any(struct tree *t, const char *from, const char *to, const struct files_stat *st,
                    bool replace, int depth, struct err *e)
{
    struct copy c = { .tree = t, .from = from, .to = to, .depth = depth };
    if (files_go_on(t, e) < 0)
        return -1;
    switch (st->type) {
    case FILES_FILE:
        return copy_file(t, from, to, replace, e);
    case FILES_FOLDER:
        if (depth == 0)
            return err_set(e, ERR_TOO_LARGE, "the folders are nested more than %d deep",
                           FILES_MAX_DEPTH);
        return files_make_folder(t, to, e) < 0 ? -1 : files_list(t, from, copy_entry, &c, e);
    case FILES_OTHER:
        break;
    }
    return 0;
}

static bool is_within(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0' || n == 0);
}

int files_copy(struct tree *t, const char *from, const char *to, bool replace, struct err *e)
{
    struct files_stat st;
    if (files_stat(t, from, &st, e) < 0)
        return -1;
    if (st.type == FILES_OTHER) {
        errno = ENXIO;
        return files_errno(e, from);
    }
    if (st.type == FILES_FOLDER && is_within(to, from))
        return err_set(e, ERR_INVALID, "a folder cannot be copied into itself");
    return copy_any(t, from, to, &st, replace, FILES_MAX_DEPTH, e);
}
