/* A workspace, open: looking at it, reading it. */
#include "kernelhub/files_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>

#include "base/beneath.h"
#include "base/log.h"

#define CHUNK_BYTES (256u * 1024)
#define SHOWN_BYTES 256 /* of a path in an error */

struct file {
    int fd;
    struct account_open open;
};

/* As the client calls it, in quotes; cut when it is long. */
static const char *show(const char *path, char ret[SHOWN_BYTES])
{
    CLEANUP_BUF struct buf text = BUF_INIT(FILES_MAX_TEXT);
    files_path_write(slice_str(path), &text);
    (void)snprintf(ret, SHOWN_BYTES, "'%.*s'", SHOWN_BYTES - 3, text.len ? text.data : "");
    return ret;
}

int files_open_workspaces(const char *state_dir, struct err *e)
{
    char path[1100];
    (void)snprintf(path, sizeof path, "%s/workspaces", state_dir); /* a setting has 1024 bytes */
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_errno(e, ERR_UNAVAILABLE, "make %s", path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_errno(e, ERR_UNAVAILABLE, "open %s", path) : fd;
}

int files_errno(struct err *e, const char *path)
{
    char quoted[SHOWN_BYTES];
    int saved = errno;
    const char *shown = show(path, quoted);
    errno = saved;
    switch (saved) {
    case ENOENT:
    case ENOTDIR:
        return err_set(e, ERR_NOT_FOUND, "there is no %s", shown);
    case ELOOP:
    case EXDEV:
        return err_set(e, ERR_FORBIDDEN, "%s is behind a symbolic link: links are not followed",
                       shown);
    case EACCES:
    case EPERM:
    case EROFS:
        return err_set(e, ERR_FORBIDDEN, "permission denied: %s", shown);
    case EEXIST:
    case ENOTEMPTY:
        return err_set(e, ERR_CONFLICT, "%s is there already", shown);
    case EISDIR:
        return err_set(e, ERR_INVALID, "%s is a folder", shown);
    case ENXIO:
    case ENODEV:
        return err_set(e, ERR_INVALID, "%s is no regular file", shown);
    case EINVAL:
    case ENAMETOOLONG:
        return err_set(e, ERR_INVALID, "%s: not possible with that name", shown);
    case EWOULDBLOCK:
        return err_set(e, ERR_BUSY, "a process holds %s: try again", shown);
    case ENOSPC:
        return err_set(e, ERR_UNAVAILABLE, "there is no room left on the disk");
    case EDQUOT:
        return err_set(e, ERR_QUOTA, "the workspace is full");
    case EFBIG:
        return err_set(e, ERR_TOO_LARGE, "%s: too large for the file system", shown);
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return err_errno(e, ERR_UNAVAILABLE, "%s", shown);
    default:
        return err_errno(e, ERR_INTERNAL, "%s", shown);
    }
}

int files_go_on(struct tree *t, struct err *e)
{
    if (t->ended && atomic_load(t->ended))
        return err_set(e, ERR_GONE, "nobody waits for it any more");
    if (zclock_mono() > t->due_ms)
        return err_set(e, ERR_TIMEOUT, "it took too long");
    return 0;
}

/* ---- opening ---- */

DIR *files_open_dir(int dir_fd, const char *path)
{
    int fd = beneath_open_errno(dir_fd, path[0] ? path : ".", O_RDONLY | O_DIRECTORY, 0);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d && fd >= 0)
        (void)close(fd); /* errno is that of fdopendir: an open folder closes without an error */
    return d;
}

static int open_private(int user_fd, const char *folder, struct err *e)
{
    int fd = beneath_open_errno(user_fd, folder, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0 && errno == ENOENT)
        return err_set(e, ERR_NOT_FOUND, "the sandbox has no workspace yet, or not any more");
    return fd < 0 ? err_errno(e, ERR_INTERNAL, "%s", folder) : fd;
}

int tree_open(struct tree *t, int workspaces_fd, const char *user_id,
              const struct files_place *place, struct err *e)
{
    t->root_fd = t->incoming_fd = -1;
    (void)snprintf(t->workspace, sizeof t->workspace, "%s/%s", user_id,
                   place->folder[0] ? place->folder : FILES_SHARED); /* fits */
    t->user_fd = beneath_make_dir(workspaces_fd, user_id, 0700, e);
    if (t->user_fd < 0)
        return err_in(e, "open the workspace");
    t->root_fd = place->folder[0] ? open_private(t->user_fd, place->folder, e)
                                  : beneath_make_dir(t->user_fd, FILES_SHARED, 0700, e);
    if (t->root_fd >= 0)
        return 0;
    tree_close(t);
    return err_in(e, "open the workspace");
}

struct changes_own *tree_own(struct tree *t, const char *path)
{
    return changes_own_begin(t->changes, t->workspace, path);
}

void tree_close(struct tree *t)
{
    close_fd_at(&t->root_fd);
    close_fd_at(&t->incoming_fd);
    close_fd_at(&t->user_fd);
    t->root_fd = t->incoming_fd = t->user_fd = -1;
}

void files_guard(struct tree *t, files_guard_fn *may, const void *arg)
{
    t->guard = may;
    t->guard_arg = arg;
}

int tree_check_guard(const struct tree *t, const struct stat *there, struct err *e)
{
    struct files_stat st;
    if (!t->guard)
        return 0;
    if (there)
        files_stat_from(there, &st);
    return t->guard(t->guard_arg, there ? &st : NULL, e);
}

int files_usage(struct tree *t, struct files_usage *ret_used, struct files_usage *ret_limit,
                struct err *e)
{
    return account_read(t->account, t, ret_used, ret_limit, e);
}

int tree_open_parent(struct tree *t, const char *path, const char **ret_name, struct err *e)
{
    char parent[FILES_MAX_PATH + 1];
    const char *name = files_path_name(path);
    if (!name[0])
        return err_set(e, ERR_INVALID, "that is the workspace itself");
    size_t n = name > path ? (size_t)(name - path) - 1 : 0;
    memcpy(parent, path, n);
    parent[n] = '\0';
    *ret_name = name;
    int fd = beneath_open_errno(t->root_fd, n ? parent : ".", O_RDONLY | O_DIRECTORY, 0);
    return fd < 0 ? files_errno(e, parent) : fd;
}

/* ---- looking ---- */

static int64_t nanoseconds(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void files_stat_from(const struct stat *st, struct files_stat *ret)
{
    *ret = (struct files_stat){
        .type = S_ISREG(st->st_mode)   ? FILES_FILE
                : S_ISDIR(st->st_mode) ? FILES_FOLDER
                                       : FILES_OTHER,
        .bytes = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0,
        .modified_ns = nanoseconds(st->st_mtim),
        .changed_ns = nanoseconds(st->st_ctim),
        .device = st->st_dev,
        .node = st->st_ino,
        .mode = st->st_mode & 0777,
    };
}

int files_stat(struct tree *t, const char *path, struct files_stat *ret, struct err *e)
{
    struct stat st;
    const char *name;
    if (!path[0]) {
        if (fstat(t->root_fd, &st) < 0)
            return files_errno(e, path);
        files_stat_from(&st, ret);
        return 0;
    }
    CLEANUP_FD int parent = tree_open_parent(t, path, &name, e);
    if (parent < 0)
        return -1;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return files_errno(e, path);
    files_stat_from(&st, ret);
    return 0;
}

static int list(struct tree *t, DIR *d, files_each_fn *each, void *arg, struct err *e)
{
    unsigned n = 0;
    for (struct dirent *entry; (entry = readdir(d));) {
        struct stat st;
        struct files_stat seen;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (n++ == FILES_MAX_ENTRIES)
            return err_set(e, ERR_TOO_LARGE, "the folder has more than %d entries",
                           FILES_MAX_ENTRIES);
        files_stat_from(&st, &seen);
        if ((n % 256 == 0 && files_go_on(t, e) < 0) || each(arg, entry->d_name, &seen, e) < 0)
            return -1;
    }
    return 0;
}

int files_list(struct tree *t, const char *path, files_each_fn *each, void *arg, struct err *e)
{
    CLEANUP(closedir) DIR *d = files_open_dir(t->root_fd, path);
    return d ? list(t, d, each, arg, e) : files_errno(e, path);
}

/* ---- reading ---- */

/* O_NONBLOCK: a pipe is open at once, and then seen to be one; a lease says EWOULDBLOCK. */
int files_open(struct tree *t, const char *path, struct file **ret, struct files_stat *ret_stat,
               struct err *e)
{
    struct stat st;
    CLEANUP_FD int fd = beneath_open_errno(t->root_fd, path[0] ? path : ".", O_RDONLY, 0);
    if (fd < 0 || fstat(fd, &st) < 0)
        return files_errno(e, path);
    if (!S_ISREG(st.st_mode)) {
        errno = S_ISDIR(st.st_mode) ? EISDIR : ENXIO;
        return files_errno(e, path);
    }
    struct file *f = malloc(sizeof *f);
    assert(f);
    f->fd = TAKE_FD(fd);
    account_on_open(t->account, &f->open, f->fd, &st);
    files_stat_from(&st, ret_stat);
    *ret = f;
    return 0;
}

void file_close(struct file *f)
{
    if (!f)
        return;
    account_on_close(&f->open);
    close_fd_at(&f->fd);
    free(f);
}

ssize_t files_read_at(int fd, uint64_t offset, char *ret, size_t n, struct err *e)
{
    size_t got = 0;
    while (got < n) {
        ssize_t some = pread(fd, ret + got, n - got, (off_t)(offset + got));
        if (some < 0 && errno == EINTR)
            continue;
        if (some < 0)
            return files_errno(e, "the file");
        if (some == 0)
            break;
        got += (size_t)some;
    }
    return (ssize_t)got;
}

ssize_t file_read(struct file *f, uint64_t offset, char *ret, size_t n, struct err *e)
{
    return files_read_at(f->fd, offset, ret, n, e);
}

int file_read_all(struct file *f, struct tree *t, struct buf *out, struct err *e)
{
    for (uint64_t offset = 0;;) {
        char behind;
        size_t left = out->max_bytes - out->len, want = left < CHUNK_BYTES ? left : CHUNK_BYTES;
        char *room = want ? buf_room(out, want) : &behind;
        if (!room)
            return err_set(e, ERR_UNAVAILABLE, "no memory");
        ssize_t n = file_read(f, offset, room, want ? want : 1, e);
        if (n < 0 || files_go_on(t, e) < 0)
            return -1;
        if (n == 0)
            return 0;
        if (!want)
            return err_set(e, ERR_TOO_LARGE, "the file is above %zu bytes", out->max_bytes);
        out->len += (size_t)n;
        out->data[out->len] = '\0';
        offset += (size_t)n;
    }
}

/* ---- hashing ---- */

static void to_hex(const unsigned char hash[crypto_hash_sha256_BYTES], char ret[FILES_SHA256_HEX])
{
    (void)sodium_bin2hex(ret, FILES_SHA256_HEX, hash, crypto_hash_sha256_BYTES); /* fits */
}

void files_sha256(struct slice bytes, char ret[FILES_SHA256_HEX])
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    (void)crypto_hash_sha256(hash, (const unsigned char *)bytes.data, bytes.len); /* never fails */
    to_hex(hash, ret);
}

int file_sha256(struct file *f, struct tree *t, char ret[FILES_SHA256_HEX], struct err *e)
{
    crypto_hash_sha256_state state;
    unsigned char hash[crypto_hash_sha256_BYTES];
    CLEANUP_BUF struct buf chunk = BUF_INIT(CHUNK_BYTES);
    char *room = buf_room(&chunk, CHUNK_BYTES);
    assert(room);
    (void)crypto_hash_sha256_init(&state);
    for (uint64_t offset = 0;;) {
        ssize_t n = file_read(f, offset, room, CHUNK_BYTES, e);
        if (n < 0 || files_go_on(t, e) < 0)
            return -1;
        if (n == 0)
            break;
        (void)crypto_hash_sha256_update(&state, (const unsigned char *)room, (size_t)n);
        offset += (size_t)n;
    }
    (void)crypto_hash_sha256_final(&state, hash);
    to_hex(hash, ret);
    return 0;
}
