/* Files that are being written. A draft stands in USER/incoming, beside the workspace: user code neither sees it nor can change it,
 * and what a hub that died left there is in nobody's way.
 *
 *     incoming/new-UUID             being written; gone with its hub
 *     incoming/part-KEY-N-BYTES     part N of the path with that key has come, BYTES in all
 *
 * The length is in the name: a part that was cut off in the middle is cut away when it comes again. */
#include "kernelhub/files_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/statvfs.h>

#include "base/beneath.h"
#include "base/log.h"

#define NEW           "new-"
#define PART          "part-"
#define PART_SECONDS  3600
#define KEY_CHARS     32
#define NAME_BYTES    128
#define NEW_FILE_MODE 0644
#define COUNT_MS      60000 /* for the count of a draft that is refused, or nearly */

struct draft {
    int fd;
    int incoming_fd;
    char name[NAME_BYTES]; /* in incoming; "": it has another place, or none */
    char key[KEY_CHARS + 1];
    int64_t part;
    uint64_t bytes;
    uint64_t begun_bytes; /* of them were there before */
    struct account *account;
    uint64_t taken; /* of the account */
    mode_t mode;
    struct changes_own *own; /* once it has its place, until its descriptor is closed */
};

bool files_is_part(const char *name)
{
    return strncmp(name, PART, sizeof PART - 1) == 0;
}

int tree_incoming(struct tree *t, struct err *e)
{
    if (t->incoming_fd < 0)
        t->incoming_fd = beneath_make_dir(t->user_fd, FILES_INCOMING, 0700, e);
    return t->incoming_fd < 0 ? err_in(e, "open the folder of uploads") : 0;
}

static struct draft *draft_new(struct tree *t, struct err *e)
{
    struct draft *d = malloc(sizeof *d);
    assert(d);
    *d = (struct draft){ .fd = -1, .mode = NEW_FILE_MODE, .account = t->account };
    d->incoming_fd = fcntl(t->incoming_fd, F_DUPFD_CLOEXEC, 0);
    if (d->incoming_fd >= 0)
        return d;
    (void)files_errno(e, "the folder of uploads"); /* NULL says it */
    draft_free(d);
    return NULL;
}

int files_draft(struct tree *t, struct draft **ret, struct err *e)
{
    if (tree_incoming(t, e) < 0)
        return -1;
    CLEANUP(draft_free) struct draft *d = draft_new(t, e);
    if (!d)
        return -1;
    struct uuid id = uuid_new();
    (void)snprintf(d->name, sizeof d->name, NEW "%s", id.text); /* fits */
    d->fd =
        openat(d->incoming_fd, d->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (d->fd < 0) {
        d->name[0] = '\0';
        return files_errno(e, "the upload");
    }
    *ret = TAKE(d);
    return 0;
}

int files_scratch(struct tree *t, struct draft **ret, struct err *e)
{
    if (files_draft(t, ret, e) < 0)
        return -1;
    (*ret)->account = NULL;
    return 0;
}

/* The account may want to count, and the draft is not bound to a piece of work. Its folder stands in the user's, and both are ours. */
static int take_more(struct draft *d, uint64_t n, struct err *e)
{
    CLEANUP_FD int user_fd =
        openat(d->incoming_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct tree t = { .user_fd = user_fd, .due_ms = zclock_mono() + COUNT_MS };
    if (user_fd < 0)
        return files_errno(e, "the upload");
    if (account_take(d->account, &t, n, 0, e) < 0)
        return -1;
    d->taken += n;
    return 0;
}

/* size: what it will have then, with `more`. */
static int check_disk(const struct draft *d, uint64_t size, uint64_t more, struct err *e)
{
    struct statvfs disk;
    if (fstatvfs(d->fd, &disk) < 0)
        return 0; /* then the disk says it itself */
    uint64_t left = (uint64_t)disk.f_bavail * disk.f_frsize;
    uint64_t kept = size > ACCOUNT_SMALL_BYTES ? account_min_free(d->account) : 0;
    if (more >= left)
        return err_set(e, ERR_UNAVAILABLE, "there is no room for %llu bytes left on the disk",
                       (unsigned long long)more);
    if (left - more < kept)
        return err_set(e, ERR_UNAVAILABLE,
                       "there is no room for %llu bytes left on the disk: %llu are kept free "
                       "(limits/min_free_bytes)",
                       (unsigned long long)more, (unsigned long long)kept);
    return 0;
}

int draft_expect(struct draft *d, struct tree *t, uint64_t bytes, struct err *e)
{
    if (d->account && bytes > d->taken) {
        if (account_take(d->account, t, bytes - d->taken, 0, e) < 0)
            return -1;
        d->taken = bytes;
    }
    return check_disk(d, bytes, bytes, e);
}

int draft_add(struct draft *d, struct slice bytes, struct err *e)
{
    uint64_t size = d->bytes - d->begun_bytes + bytes.len;
    if (d->account && size > d->taken && take_more(d, size - d->taken, e) < 0)
        return -1;
    if (d->account && check_disk(d, d->bytes + bytes.len, bytes.len, e) < 0)
        return -1;
    while (bytes.len) {
        ssize_t n = write(d->fd, bytes.data, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return files_errno(e, "the upload");
        bytes = slice_of(bytes.data + n, bytes.len - (size_t)n);
        d->bytes += (size_t)n;
    }
    return 0;
}

ssize_t draft_read(struct draft *d, uint64_t offset, char *ret, size_t n, struct err *e)
{
    return files_read_at(d->fd, offset, ret, n, e);
}

void draft_set_mode(struct draft *d, unsigned mode)
{
    d->mode = mode & 0777;
}

uint64_t draft_bytes(const struct draft *d)
{
    return d->bytes;
}

/* Whether the file may be put there. ret_there: what it replaces; with st_nlink 0 that is nothing. */
static int check_target(const struct tree *t, int parent, const char *name, bool replace,
                        struct stat *ret_there, struct err *e)
{
    *ret_there = (struct stat){ .st_nlink = 0 };
    bool is_there = fstatat(parent, name, ret_there, AT_SYMLINK_NOFOLLOW) == 0;
    if (!is_there && errno != ENOENT)
        return files_errno(e, name);
    if (tree_check_guard(t, is_there ? ret_there : NULL, e) < 0)
        return -1;
    if (!is_there)
        return 0;
    errno = !replace                      ? EEXIST
            : S_ISREG(ret_there->st_mode) ? (ret_there->st_mode & S_IWUSR ? 0 : EACCES)
            : S_ISDIR(ret_there->st_mode) ? EISDIR
            : S_ISLNK(ret_there->st_mode) ? ELOOP
                                          : ENXIO;
    return errno ? files_errno(e, name) : 0;
}

static int put_in_place(struct draft *d, const struct tree *t, int parent, const char *name,
                        const char *path, bool replace, struct stat *there, struct err *e)
{
    if (check_target(t, parent, name, replace, there, e) < 0)
        return -1;
    if (fchmod(d->fd, there->st_nlink ? there->st_mode & 0777 : d->mode) < 0 ||
        renameat2(d->incoming_fd, d->name, parent, name, replace ? 0 : RENAME_NOREPLACE) < 0)
        return files_errno(e, path);
    d->name[0] = '\0';
    return 0;
}

int draft_commit(struct draft *d, struct tree *t, const char *path, bool replace,
                 struct files_stat *ret, struct err *e)
{
    const char *name;
    struct stat st, there;
    CLEANUP_FD int parent = tree_open_parent(t, path, &name, e);
    if (parent < 0 || check_target(t, parent, name, replace, &there, e) < 0 ||
        (!there.st_nlink && account_take(d->account, t, 0, 1, e) < 0))
        return -1;
    if (fsync(d->fd) < 0)
        return files_errno(e, path);
    if (!d->own)
        d->own = tree_own(t, path);
    account_lock_place(d->account);
    int rc = put_in_place(d, t, parent, name, path, replace, &there, e);
    account_unlock_place(d->account);
    if (rc < 0)
        return -1;
    if (fsync(parent) < 0)
        log_warning("a folder was not synced error=%s", strerror(errno));
    if (fstat(d->fd, &st) < 0)
        return files_errno(e, path);
    account_on_put(d->account, &st, there.st_nlink ? &there : NULL);
    account_give_back(d->account, d->taken); /* it is counted where it stands now */
    d->taken = 0;
    files_stat_from(&st, ret);
    return 0;
}

void draft_free(struct draft *d)
{
    if (!d)
        return;
    if (d->name[0])
        (void)unlinkat(d->incoming_fd, d->name, 0); /* else the next hub's sweep */
    account_give_back(d->account, d->taken);
    close_fd_at(&d->fd);
    changes_own_end(d->own);
    close_fd_at(&d->incoming_fd);
    free(d);
}

/* ---- parts ---- */

struct part {
    char name[NAME_BYTES];
    int64_t number;
    uint64_t bytes;
};

static bool read_part(const char *name, const char *key, struct part *ret)
{
    char own[KEY_CHARS + 1];
    int end = 0;
    if (sscanf(name, PART "%32[0-9a-f]-%" SCNd64 "-%" SCNu64 "%n", own, &ret->number, &ret->bytes,
               &end) != 3 ||
        name[end] != '\0' || end >= NAME_BYTES || strcmp(own, key) != 0)
        return false;
    memcpy(ret->name, name, (size_t)end + 1);
    return true;
}

static bool is_old(int dir_fd, const char *name)
{
    struct stat st;
    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           time(NULL) - st.st_mtim.tv_sec > PART_SECONDS;
}

/* Looks for the path's part; counts all there are, without those that are too old: they are removed. */
static bool find_part(int incoming_fd, const char *key, struct part *ret, unsigned *ret_n)
{
    bool found = false;
    CLEANUP(closedir) DIR *d = files_open_dir(incoming_fd, "");
    *ret_n = 0;
    for (struct dirent *entry; d && (entry = readdir(d));) {
        if (!files_is_part(entry->d_name))
            continue;
        if (is_old(incoming_fd, entry->d_name)) {
            (void)unlinkat(incoming_fd, entry->d_name, 0); /* another time then */
            continue;
        }
        ++*ret_n;
        found = found || read_part(entry->d_name, key, ret);
    }
    return found;
}

/* Two requests may have found the same part: one gets it. */
static int take_part(struct draft *d, const struct part *part, struct err *e)
{
    struct stat open, named;
    d->fd = beneath_open_errno(d->incoming_fd, part->name, O_RDWR | O_APPEND, 0);
    if (d->fd < 0 || flock(d->fd, LOCK_EX | LOCK_NB) < 0 || fstat(d->fd, &open) < 0 ||
        fstatat(d->incoming_fd, part->name, &named, AT_SYMLINK_NOFOLLOW) < 0 ||
        open.st_ino != named.st_ino)
        return err_set(e, ERR_CONFLICT, "another request uploads the same part");
    if (ftruncate(d->fd, (off_t)part->bytes) < 0)
        return files_errno(e, "the upload");
    memcpy(d->name, part->name, sizeof d->name);
    d->bytes = d->begun_bytes = part->bytes;
    return 0;
}

int files_draft_part(struct tree *t, const char *path, int64_t number, struct draft **ret,
                     struct err *e)
{
    char hash[FILES_SHA256_HEX], key[KEY_CHARS + 1];
    const char *name;
    struct part part;
    unsigned n;
    CLEANUP_FD int parent = tree_open_parent(t, path, &name, e); /* said now, not at the end */
    if (parent < 0 || tree_incoming(t, e) < 0)
        return -1;
    files_sha256(slice_str(path), hash);
    memcpy(key, hash, KEY_CHARS); /* its first half */
    key[KEY_CHARS] = '\0';
    bool found = find_part(t->incoming_fd, key, &part, &n);
    CLEANUP(draft_free) struct draft *d = NULL;
    if (number == 1) {
        if (found)
            (void)unlinkat(t->incoming_fd, part.name, 0); /* it begins anew */
        else if (n >= FILES_MAX_PARTS)
            return err_set(e, ERR_QUOTA, "%d uploads have begun and not ended", FILES_MAX_PARTS);
        if (files_draft(t, &d, e) < 0)
            return -1;
    } else {
        if (!found || (number != -1 && number != part.number + 1))
            return err_set(e, ERR_CONFLICT,
                           "part %lld of the upload does not follow: begin with part 1",
                           (long long)number);
        d = draft_new(t, e);
        if (!d || take_part(d, &part, e) < 0)
            return -1;
    }
    memcpy(d->key, key, sizeof key);
    d->part = number;
    *ret = TAKE(d);
    return 0;
}

int draft_keep(struct draft *d, struct files_stat *ret, struct err *e)
{
    char name[NAME_BYTES];
    struct stat st;
    (void)snprintf(name, sizeof name, PART "%s-%" PRId64 "-%" PRIu64, d->key, d->part,
                   d->bytes); /* fits */
    if (fstat(d->fd, &st) < 0 || renameat(d->incoming_fd, d->name, d->incoming_fd, name) < 0)
        return files_errno(e, "the upload");
    d->name[0] = '\0';
    files_stat_from(&st, ret);
    ret->mode = NEW_FILE_MODE;
    return 0;
}

/* ---- what a former hub left ---- */

static void sweep_user(int workspaces_fd, const char *user)
{
    char path[NAME_BYTES + sizeof FILES_INCOMING];
    (void)snprintf(path, sizeof path, "%.64s/" FILES_INCOMING, user); /* an id: fits */
    CLEANUP(closedir) DIR *d = files_open_dir(workspaces_fd, path);
    for (struct dirent *entry; d && (entry = readdir(d));)
        if (strncmp(entry->d_name, NEW, sizeof NEW - 1) == 0 ||
            (files_is_part(entry->d_name) && is_old(dirfd(d), entry->d_name)))
            (void)unlinkat(dirfd(d), entry->d_name, 0); /* the next hub's then */
}

void files_sweep(int workspaces_fd)
{
    CLEANUP(closedir) DIR *d = files_open_dir(workspaces_fd, "");
    for (struct dirent *entry; d && (entry = readdir(d));)
        if (entry->d_name[0] != '.')
            sweep_user(workspaces_fd, entry->d_name);
}
