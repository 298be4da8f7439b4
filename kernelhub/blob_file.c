#include "kernelhub/blob_file.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define PER_FOLDER 1000 /* a folder of a million files is slow to list */

static void path_of(int64_t feed, char ret[48])
{
    (void)snprintf(ret, 48, "%lld/%lld", (long long)(feed / PER_FOLDER),
                   (long long)feed); /* fits */
}

static void folder_of(int64_t feed, char ret[24])
{
    (void)snprintf(ret, 24, "%lld", (long long)(feed / PER_FOLDER)); /* fits */
}

int blob_file_open_dir(const char *dir, int *ret_fd, struct err *e)
{
    CLEANUP_FD int parent = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0)
        return err_errno(e, ERR_UNAVAILABLE, "open %s", dir);
    if (mkdirat(parent, "blobs", 0700) < 0 && errno != EEXIST)
        return err_errno(e, ERR_UNAVAILABLE, "make %s/blobs", dir);
    int fd = openat(parent, "blobs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, ERR_UNAVAILABLE, "open %s/blobs", dir);
    *ret_fd = fd;
    return 0;
}

static int open_for_append(int dir_fd, int64_t feed)
{
    char path[48], folder[24];
    path_of(feed, path);
    int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
    int fd = openat(dir_fd, path, flags, 0600);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    folder_of(feed, folder);
    if (mkdirat(dir_fd, folder, 0700) < 0 && errno != EEXIST)
        return -1;
    return openat(dir_fd, path, flags, 0600);
}

static int write_all(int fd, struct slice bytes)
{
    while (bytes.len) {
        ssize_t n = write(fd, bytes.data, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        bytes = slice_of(bytes.data + n, bytes.len - (size_t)n);
    }
    return 0;
}

int blob_file_append(int dir_fd, int64_t feed, struct slice bytes, int64_t *ret_offset,
                     struct err *e)
{
    CLEANUP_FD int fd = open_for_append(dir_fd, feed);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(e, ERR_UNAVAILABLE, "open the blob file of feed %lld", (long long)feed);
    if (write_all(fd, bytes) < 0) {
        (void)err_errno(e, ERR_UNAVAILABLE, "write the blob file of feed %lld",
                        (long long)feed); /* -1 comes below */
        if (ftruncate(fd, st.st_size) < 0)
            return -1; /* what was written is waste, nothing worse */
        return -1;
    }
    *ret_offset = st.st_size;
    return 0;
}

int blob_file_read(int dir_fd, int64_t feed, int64_t offset, size_t n, char *ret, struct err *e)
{
    char path[48];
    path_of(feed, path);
    CLEANUP_FD int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_errno(e, errno == ENOENT ? ERR_GONE : ERR_INTERNAL,
                         "open the blob file of feed %lld", (long long)feed);
    size_t got = 0;
    while (got < n) {
        ssize_t some = pread(fd, ret + got, n - got, (off_t)(offset + (int64_t)got));
        if (some < 0 && errno == EINTR)
            continue;
        if (some < 0)
            return err_errno(e, ERR_INTERNAL, "read the blob file of feed %lld", (long long)feed);
        if (some == 0)
            return err_set(e, ERR_INTERNAL, "the blob file of feed %lld is too short",
                           (long long)feed);
        got += (size_t)some;
    }
    return 0;
}

void blob_file_truncate(int dir_fd, int64_t feed, int64_t n)
{
    char path[48];
    path_of(feed, path);
    CLEANUP_FD int fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && ftruncate(fd, n) < 0)
        return; /* what stays is waste, nothing worse */
}

int64_t blob_file_remove(int dir_fd, int64_t feed)
{
    char path[48], folder[24];
    path_of(feed, path);
    struct stat st;
    if (fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || unlinkat(dir_fd, path, 0) < 0)
        return 0;
    folder_of(feed, folder);
    (void)unlinkat(dir_fd, folder, AT_REMOVEDIR); /* fails while others are in it, as it should */
    return st.st_size;
}

int64_t blob_file_total(int dir_fd)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d/.", dir_fd); /* fits */
    char *roots[] = { path, NULL };
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    int64_t total = 0;
    FTSENT *at;
    while (walk && (at = fts_read(walk)))
        if (at->fts_info == FTS_F)
            total += at->fts_statp->st_size;
    if (walk)
        (void)fts_close(walk); /* nothing to do about an error here */
    return total;
}
