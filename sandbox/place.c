#include "sandbox/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/beneath.h"
#include "base/log.h"
#include "base/small_file.h"
#include "sandbox/disk_quota.h"
#include "sandbox/idmap.h"

#define NO_ID ((unsigned)-1)
#define ASIDE ".removed" /* no user's id begins with a dot (verb.c) */

/* Opens a directory of ours, made when missing. owner NO_ID: root. Refuses one that is another's. */
static int own_dir(const char *path, mode_t mode, unsigned uid, unsigned gid, struct err *e)
{
    bool made = mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST)
        return err_errno(e, ERR_INTERNAL, "make directory '%s'", path);
    CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, ERR_INTERNAL, "open directory '%s'", path);
    if (made && ((uid != NO_ID && fchown(fd, uid, gid) < 0) || fchmod(fd, mode) < 0))
        return err_errno(e, ERR_INTERNAL, "give away '%s'", path);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_errno(e, ERR_INTERNAL, "look at '%s'", path);
    unsigned owner = uid == NO_ID ? geteuid() : uid;
    if (st.st_uid != owner || (st.st_mode & 0777 & ~mode) != 0)
        return err_set(e, ERR_FORBIDDEN,
                       "'%s' belongs to %u with mode %o, not to %u with %o at most", path,
                       (unsigned)st.st_uid, st.st_mode & 0777, owner, (unsigned)mode);
    return TAKE_FD(fd);
}

static int join(char ret[PLACE_MAX_PATH], const char *dir, const char *name, struct err *e)
{
    if (snprintf(ret, PLACE_MAX_PATH, "%s/%s", dir, name) >= PLACE_MAX_PATH)
        return err_set(e, ERR_INVALID, "the path '%.60s…' is too long", dir);
    return 0;
}

static int open_dirs(struct place *p, struct err *e)
{
    char path[PLACE_MAX_PATH];
    const struct keeper_options *o = &p->options;
    if (join(p->keeper_dir, o->state_dir, "keeper", e) < 0 ||
        join(p->sandboxes_dir, o->run_dir, "sandboxes", e) < 0 ||
        join(p->wardens_dir, o->run_dir, "wardens", e) < 0)
        return -1;
    /* Paths below these are used by name, so nobody else may be able to rename there. */
    CLEANUP_FD int state = own_dir(o->state_dir, 0755, NO_ID, NO_ID, e);
    CLEANUP_FD int run = state < 0 ? -1 : own_dir(o->run_dir, 0755, NO_ID, NO_ID, e);
    if (run < 0)
        return -1;
    p->keeper_fd = own_dir(p->keeper_dir, 0700, NO_ID, NO_ID, e);
    p->sandboxes_fd = p->keeper_fd < 0 ? -1 : own_dir(p->sandboxes_dir, 0711, NO_ID, NO_ID, e);
    p->wardens_fd = p->sandboxes_fd < 0 ? -1 : own_dir(p->wardens_dir, 0700, NO_ID, NO_ID, e);
    if (p->wardens_fd < 0)
        return -1;
    static const char *const BELOW[] = { "records", "images", "logs", "spool" };
    int *const fds[] = { &p->records_fd, &p->images_fd, &p->logs_fd, &p->spool_fd };
    for (size_t i = 0; i < ARRAY_LEN(BELOW); i++) {
        if (join(path, p->keeper_dir, BELOW[i], e) < 0)
            return -1;
        *fds[i] = own_dir(path, 0700, NO_ID, NO_ID, e);
        if (*fds[i] < 0)
            return -1;
    }
    if (join(path, o->state_dir, "workspaces", e) < 0)
        return -1;
    p->workspaces_fd = own_dir(path, 0700, o->hub_uid, o->hub_gid, e);
    return p->workspaces_fd < 0 ? -1 : 0;
}

static int take_lock(struct place *p, unsigned wait_ms, struct err *e)
{
    p->lock_fd = openat(p->keeper_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (p->lock_fd < 0)
        return err_errno(e, ERR_INTERNAL, "open the lock");
    for (unsigned waited = 0; flock(p->lock_fd, LOCK_EX | LOCK_NB) < 0; waited += 50) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return err_errno(e, ERR_INTERNAL, "take the lock");
        if (waited >= wait_ms)
            return err_set(e, ERR_BUSY, "another keeper of '%s' runs", p->options.state_dir);
        (void)nanosleep(&(struct timespec){ .tv_nsec = 50000000 },
                        NULL); /* cut short: asks earlier */
    }
    return 0;
}

static int read_uuid(int dir_fd, const char *path, struct uuid *ret, struct err *e)
{
    CLEANUP_BUF struct buf text = BUF_INIT(64);
    if (small_file_read(dir_fd, path, &text, e) < 0)
        return -1;
    struct slice s = buf_slice(&text);
    while (s.len > 0 && s.data[s.len - 1] == '\n')
        s.len--;
    if (!uuid_parse(s, ret))
        return err_set(e, ERR_INTERNAL, "'%s' holds no UUID", path);
    return 0;
}

static int know_thyself(struct place *p, struct err *e)
{
    struct err missing = ERR_INIT;
    if (read_uuid(p->keeper_fd, "instance", &p->instance, &missing) < 0) {
        if (missing.code != ERR_NOT_FOUND)
            return err_set(e, missing.code, "%s", missing.text);
        p->instance = uuid_new();
        if (small_file_write(p->keeper_fd, "instance", slice_str(p->instance.text), 0600, e) < 0)
            return -1;
    }
    CLEANUP_BUF struct buf text = BUF_INIT(64);
    if (small_file_read(p->keeper_fd, "epoch", &text, NULL) == 0 && text.len > 0)
        p->epoch = strtoull(text.data, NULL, 10);
    p->epoch++;
    buf_reset(&text);
    buf_addf(&text, "%llu", (unsigned long long)p->epoch);
    if (small_file_write(p->keeper_fd, "epoch", buf_slice(&text), 0600, e) < 0)
        return -1;
    snprintf(p->group, sizeof p->group, "kernelhub-%.8s", p->instance.text);
    return read_uuid(AT_FDCWD, "/proc/sys/kernel/random/boot_id", &p->boot_id, e);
}

static int write_constants(struct place *p, struct err *e)
{
    if (join(p->podman_socket, p->keeper_dir, "podman.sock", e) < 0 ||
        join(p->containers_conf, p->keeper_dir, "containers.conf", e) < 0 ||
        join(p->empty_path, p->keeper_dir, "empty", e) < 0)
        return -1;
    struct rlimit limit;
    p->host.nofile = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : 1024;
    p->host.nproc = getrlimit(RLIMIT_NPROC, &limit) == 0 ? limit.rlim_max : 1024;
    return small_file_write(p->keeper_fd, "empty", SLICE_LITERAL(""), 0444, e);
}

int place_open(const struct keeper_options *options, unsigned lock_ms, struct place *ret,
               struct err *e)
{
    struct place p = { .options = *options,
                       .keeper_fd = -1,
                       .records_fd = -1,
                       .images_fd = -1,
                       .logs_fd = -1,
                       .spool_fd = -1,
                       .wardens_fd = -1,
                       .sandboxes_fd = -1,
                       .workspaces_fd = -1,
                       .lock_fd = -1 };
    if (p.options.id_base == 0)
        p.options.id_base = KEEPER_DEFAULT_ID_BASE;
    if (p.options.id_count == 0)
        p.options.id_count = KEEPER_DEFAULT_ID_COUNT;
    if (p.options.max_sandboxes == 0 || p.options.max_sandboxes > p.options.id_count)
        p.options.max_sandboxes = p.options.id_count;
    if (open_dirs(&p, e) < 0 || take_lock(&p, lock_ms, e) < 0 || know_thyself(&p, e) < 0 ||
        write_constants(&p, e) < 0) {
        place_close(&p);
        return -1;
    }
    *ret = p;
    return 0;
}

void place_close(struct place *p)
{
    int fds[] = { p->keeper_fd,    p->records_fd,    p->images_fd, p->logs_fd,   p->spool_fd,
                  p->sandboxes_fd, p->workspaces_fd, p->lock_fd,   p->wardens_fd };
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close_fd_at(&fds[i]);
}

void place_sandbox_path(const struct place *p, const struct uuid *id, const char *leaf,
                        char ret[PLACE_MAX_PATH])
{
    snprintf(ret, PLACE_MAX_PATH, "%.180s/%s%s%s", p->sandboxes_dir, id->text, *leaf ? "/" : "",
             leaf);
}

void place_log_path(const struct place *p, const struct uuid *id, char ret[PLACE_MAX_PATH])
{
    snprintf(ret, PLACE_MAX_PATH, "%.180s/logs/%s.log", p->keeper_dir, id->text);
}

void place_notes_path(const struct place *p, const struct uuid *id, char ret[PLACE_MAX_PATH])
{
    snprintf(ret, PLACE_MAX_PATH, "%.200s/%s", p->wardens_dir, id->text);
}

void place_spool_path(const struct place *p, const struct uuid *id, char ret[PLACE_MAX_PATH])
{
    snprintf(ret, PLACE_MAX_PATH, "%.180s/spool/%s", p->keeper_dir, id->text);
}

static int make_dir_at(int dir_fd, const char *name, mode_t mode, unsigned uid, unsigned gid,
                       struct err *e)
{
    if (mkdirat(dir_fd, name, 0700) < 0)
        return err_errno(e, errno == EEXIST ? ERR_CONFLICT : ERR_INTERNAL, "make directory '%s'",
                         name);
    CLEANUP_FD int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchown(fd, uid, gid) < 0 || fchmod(fd, mode) < 0)
        return err_errno(e, ERR_INTERNAL, "give away '%s'", name);
    return TAKE_FD(fd);
}

int place_make_sandbox(const struct place *p, const struct uuid *id, unsigned warden_uid,
                       struct err *e)
{
    static const struct {
        const char *name;
        mode_t mode;
        bool of_root;
    } BELOW[] = { { "wall", 0755, false },
                  { "channels", 0700, false },
                  { "workspace", 0700, true },
                  { "packages", 0700, true } };

    CLEANUP_FD int dir =
        make_dir_at(p->sandboxes_fd, id->text, 0750, warden_uid, p->options.hub_gid, e);
    if (dir < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(BELOW); i++) {
        unsigned owner = BELOW[i].of_root ? 0 : warden_uid;
        CLEANUP_FD int fd = make_dir_at(dir, BELOW[i].name, BELOW[i].mode, owner, owner, e);
        if (fd < 0)
            return -1;
    }
    return 0;
}

/* As the hub's user, so that the kernel itself refuses what the hub may not do; root's rights over
 * files go with the file system uid and come back with it. Both are this thread's only. */
int place_open_own(const struct place *p, const char *path, struct err *e)
{
    (void)setfsgid(p->options.hub_gid); /* both answer the id before, never an error */
    (void)setfsuid(p->options.hub_uid);
    CLEANUP_FD int fd = beneath_make_dir(p->workspaces_fd, path, 0700, e);
    (void)setfsuid(geteuid());
    (void)setfsgid(getegid());
    struct stat st;
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != p->options.hub_uid)
        return err_set(e, ERR_FORBIDDEN, "the workspace '%s' is not the hub's directory", path);
    return TAKE_FD(fd);
}

/* The workspace and the uploads on their way into it, which may only be renamed within a project. */
static int limit_workspace(const struct place *p, int workspace_fd, const char *user_id,
                           struct err *e)
{
    char path[128];
    uint32_t project;
    CLEANUP_FD int user = place_open_own(p, user_id, e);
    if (user < 0 || !disk_quota_is_enforced(user))
        return user < 0 ? -1 : 0;
    snprintf(path, sizeof path, "%s/incoming", user_id);
    CLEANUP_FD int incoming = place_open_own(p, path, e);
    if (incoming < 0 || disk_quota_project(user, &project, e) < 0 ||
        disk_quota_limit(user, project, p->options.workspace_bytes, p->options.workspace_files, e) <
            0 ||
        disk_quota_join(incoming, project, e) < 0)
        return -1;
    return disk_quota_join(workspace_fd, project, e);
}

/* Where the file system can, all of the user's workspaces together. Elsewhere, or when it fails, the hub counts (quota.h). */
static void try_to_limit(const struct place *p, int workspace_fd, const char *user_id)
{
    struct err e = ERR_INIT;
    if (p->options.workspace_bytes && limit_workspace(p, workspace_fd, user_id, &e) < 0)
        log_warning("workspaces of user=%s have no quota of the file system: %s", user_id, e.text);
}

int place_attach(const struct place *p, const struct uuid *id, const char *leaf, int fd,
                 unsigned user, struct err *e)
{
    char target[PLACE_MAX_PATH];
    place_sandbox_path(p, id, leaf, target);
    struct idmap map = { .disk_uid = p->options.hub_uid,
                         .disk_gid = p->options.hub_gid,
                         .shown_uid = user,
                         .shown_gid = user };
    return idmap_attach(fd, &map, target, e);
}

int place_mount_workspace(const struct place *p, const struct uuid *id, const char *user_id,
                          bool is_private, unsigned user, struct err *e)
{
    char path[128];
    snprintf(path, sizeof path, is_private ? "%s/private-%s" : "%s/shared", user_id, id->text);
    CLEANUP_FD int fd = place_open_own(p, path, e);
    if (fd < 0)
        return -1;
    try_to_limit(p, fd, user_id);
    return place_attach(p, id, "workspace", fd, user, e);
}

int place_open_aside(const struct place *p)
{
    return beneath_open(p->workspaces_fd, ASIDE, O_RDONLY | O_DIRECTORY, 0, NULL);
}

int place_make_aside(const struct place *p, struct err *e)
{
    return beneath_make_dir(p->workspaces_fd, ASIDE, 0700, e);
}

/* What is in a workspace is a stranger's, and its user's folder is the hub's: nothing is followed, only renamed. */
int place_put_aside(const struct place *p, const struct uuid *id, const char *user_id,
                    bool is_private, struct err *e)
{
    char leaf[64];
    struct err missing = ERR_INIT;
    snprintf(leaf, sizeof leaf, is_private ? "private-%s" : "shared", id->text);
    CLEANUP_FD int user =
        beneath_open(p->workspaces_fd, user_id, O_RDONLY | O_DIRECTORY, 0, &missing);
    if (user < 0)
        return missing.code == ERR_NOT_FOUND ? 0 : err_set(e, missing.code, "%s", missing.text);
    CLEANUP_FD int aside = place_make_aside(p, e);
    if (aside < 0)
        return -1;
    if (renameat2(user, leaf, aside, uuid_new().text, RENAME_NOREPLACE) < 0 && errno != ENOENT)
        return err_errno(e, ERR_INTERNAL, "put the workspace of '%s' aside", user_id);
    return 0;
}

static int open_here(int dir_fd, const char *name)
{
    struct open_how how = {
        .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
    };
    return (int)syscall(SYS_openat2, dir_fd, name, &how, sizeof how);
}

DEFINE_CLEANUP(DIR, closedir)

/* A warden owns its directory, so what is in there is a stranger's: no symlink is followed, no mount
 * entered, no more than `depth` levels gone down. */
static void remove_tree(int dir_fd, const char *name, int depth)
{
    if (unlinkat(dir_fd, name, 0) == 0 || unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || depth == 0)
        return;
    int fd = open_here(dir_fd, name);
    CLEANUP(closedir) DIR *d = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *entry; d && (entry = readdir(d));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_tree(fd, entry->d_name, depth - 1);
    (void)unlinkat(dir_fd, name, AT_REMOVEDIR); /* the caller looks whether it is gone */
}

/* All that may be mounted in a sandbox's directory, or a build's. */
static const char *const MOUNTS[] = { "workspace", "packages", "tree", "work", "old" };

int place_remove_sandbox(const struct place *p, const struct uuid *id, struct err *e)
{
    char path[PLACE_MAX_PATH];
    for (size_t i = 0; i < ARRAY_LEN(MOUNTS); i++) {
        place_sandbox_path(p, id, MOUNTS[i], path);
        if (idmap_detach(path, e) < 0)
            return -1;
    }
    remove_tree(p->sandboxes_fd, id->text, 4);
    struct stat st;
    if (fstatat(p->sandboxes_fd, id->text, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return err_set(e, ERR_INTERNAL, "the directory of sandbox %s cannot be removed", id->text);
    place_log_path(p, id, path);
    (void)unlink(path); /* there may be none */
    (void)unlinkat(p->wardens_fd, id->text, 0);
    (void)unlinkat(p->spool_fd, id->text, 0); /* only of a warden that died while it began */
    return 0;
}
