#include "sandbox/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/uuid.h"

DEFINE_CLEANUP(DIR, closedir)

struct sweep {
    int top_fd;
    unsigned left;   /* of the budget */
    bool progressed; /* something was removed */
    struct err *e;   /* why something was not */
};

static int open_folder(int dir_fd, const char *name)
{
    struct open_how how = {
        .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
    };
    return (int)syscall(SYS_openat2, dir_fd, name, &how, sizeof how);
}

/* The folder's names; the descriptor is its own. NULL: it cannot be read. */
static DIR *list(int dir_fd, const char *name)
{
    int fd = open_folder(dir_fd, name);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (fd >= 0 && !d)
        close(fd);
    return d;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool remove_one(struct sweep *s, int dir_fd, const char *name)
{
    s->left -= s->left > 0;
    if (unlinkat(dir_fd, name, 0) < 0 && unlinkat(dir_fd, name, AT_REMOVEDIR) < 0)
        return false;
    s->progressed = true;
    return true;
}

/* All names in one folder go, those of folders that are not empty to the top. */
static void empty(struct sweep *s, const char *folder)
{
    CLEANUP(closedir) DIR *d = list(s->top_fd, folder);
    for (struct dirent *entry; d && s->left && (entry = readdir(d));) {
        if (is_dots(entry->d_name) || remove_one(s, dirfd(d), entry->d_name))
            continue;
        if (renameat2(dirfd(d), entry->d_name, s->top_fd, uuid_new().text, RENAME_NOREPLACE) == 0)
            s->progressed = true;
        else
            (void)err_errno(s->e, ERR_INTERNAL, "remove %s", log_quote(slice_str(entry->d_name)));
    }
}

/* False: it is still there. */
static bool remove_top(struct sweep *s, const char *name)
{
    if (remove_one(s, s->top_fd, name))
        return true;
    empty(s, name);
    if (s->left == 0 || remove_one(s, s->top_fd, name))
        return true; /* or it is looked at again */
    (void)err_errno(s->e, ERR_INTERNAL, "remove %s", log_quote(slice_str(name)));
    return false;
}

int sweep_some(int dir_fd, unsigned budget, bool *ret_more, struct err *e)
{
    struct sweep s = { .top_fd = dir_fd, .left = budget, .e = e };
    bool stays = false, seen = false;
    CLEANUP(closedir) DIR *top = list(dir_fd, ".");
    if (!top)
        return err_errno(e, ERR_INTERNAL, "read what is to be removed");
    for (struct dirent *entry; s.left && (entry = readdir(top));) {
        if (is_dots(entry->d_name))
            continue;
        seen = true;
        stays |= !remove_top(&s, entry->d_name);
    }
    /* names come and go while the folder is read: only an empty one, or one that does not change, is the end */
    *ret_more = seen && s.progressed;
    return stays && !s.progressed ? -1 : 0;
}
