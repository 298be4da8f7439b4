#include "sandbox/place_packages.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/beneath.h"

#define MAX_DEPTH 64
#define PATH_SIZE 160 /* two UUIDs and some words */

static const char *const LANGUAGES[] = { "python", "javascript" };

DEFINE_CLEANUP(DIR, closedir)

/* Both folders are there from the start: who looks for packages before there are any may remember that there is no folder. */
int place_mount_packages(const struct place *p, const struct uuid *id, const char *user_id,
                         unsigned user, struct err *e)
{
    char path[PATH_SIZE];
    for (size_t i = 0; i < ARRAY_LEN(LANGUAGES); i++) {
        snprintf(path, sizeof path, "%s/packages/%s", user_id, LANGUAGES[i]);
        CLEANUP_FD int fd = place_open_own(p, path, e);
        if (fd < 0)
            return -1;
    }
    snprintf(path, sizeof path, "%s/packages", user_id);
    CLEANUP_FD int fd = place_open_own(p, path, e);
    return fd < 0 ? -1 : place_attach(p, id, "packages", fd, user, e);
}

static int open_build(const struct place *p, const struct uuid *id, const char *user_id,
                      struct err *e)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/building/%s", user_id, id->text);
    return beneath_open(p->workspaces_fd, path, O_RDONLY | O_DIRECTORY, 0, e);
}

/* A folder that is no longer wanted gets another name among those that are swept. */
static void put_aside(const struct place *p, int dir_fd, const char *name)
{
    CLEANUP_FD int aside = place_make_aside(p, NULL);
    if (aside >= 0)
        (void)renameat2(dir_fd, name, aside, uuid_new().text, RENAME_NOREPLACE); /* maybe none */
}

static int open_all_builds(const struct place *p, const char *user_id, struct err *e)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/building", user_id);
    return beneath_open(p->workspaces_fd, path, O_RDONLY | O_DIRECTORY, 0, e);
}

/* All names in a folder but those. The descriptor is its own. */
static void put_all_aside(const struct place *p, int fd, const char *const *but, size_t n)
{
    CLEANUP(closedir) DIR *d = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *entry; d && (entry = readdir(d));) {
        bool stays = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        for (size_t i = 0; i < n; i++)
            stays = stays || strcmp(entry->d_name, but[i]) == 0;
        if (!stays)
            put_aside(p, fd, entry->d_name);
    }
}

/* What a keeper or a hub that died left: one build of a user is made at a time. */
static void put_others_aside(const struct place *p, const struct uuid *id, const char *user_id)
{
    put_all_aside(p, open_all_builds(p, user_id, NULL), (const char *const[]){ id->text }, 1);
}

static int attach(const struct place *p, const struct uuid *id, const char *leaf, const char *path,
                  unsigned user, struct err *e)
{
    CLEANUP_FD int fd = place_open_own(p, path, e);
    return fd < 0 ? -1 : place_attach(p, id, leaf, fd, user, e);
}

int place_make_build(const struct place *p, const struct uuid *id, const char *user_id,
                     const char *language, unsigned user, struct err *e)
{
    static const char *const BELOW[] = { "tree", "work", "old", "host" };
    char tree[PATH_SIZE], work[PATH_SIZE], old[PATH_SIZE], path[PLACE_MAX_PATH];
    struct stat st;
    CLEANUP_FD int build = open_build(p, id, user_id, e);
    if (build < 0)
        return -1;
    if (fstatat(build, "work", &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
        return err_set(e, ERR_NOT_FOUND, "the build was not prepared");
    put_others_aside(p, id, user_id);
    put_aside(p, build, "tree");
    place_sandbox_path(p, id, "", path);
    if (mkdir(path, 0711) < 0)
        return err_errno(e, ERR_INTERNAL, "make directory '%s'", path);
    for (size_t i = 0; i < ARRAY_LEN(BELOW); i++) {
        place_sandbox_path(p, id, BELOW[i], path);
        if (mkdir(path, 0755) < 0)
            return err_errno(e, ERR_INTERNAL, "make directory '%s'", path);
    }
    snprintf(tree, sizeof tree, "%s/building/%s/tree", user_id, id->text);
    snprintf(work, sizeof work, "%s/building/%s/work", user_id, id->text);
    snprintf(old, sizeof old, "%s/packages/%s", user_id, language);
    return attach(p, id, "tree", tree, user, e) < 0 || attach(p, id, "work", work, user, e) < 0 ||
                   attach(p, id, "old", old, user, e) < 0
               ? -1
               : 0;
}

struct measure {
    uint64_t max_bytes, max_names;
    struct place_size size;
};

static bool is_enough(const struct measure *m)
{
    return m->size.is_too_deep || m->size.all_bytes > m->max_bytes || m->size.names > m->max_names;
}

/* The builder changes it all meanwhile: what is not there any more is not counted, no link is followed. */
static void measure(struct measure *m, int dir_fd, const char *name, bool is_tree, int depth)
{
    struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV };
    int fd = (int)syscall(SYS_openat2, dir_fd, name, &how, sizeof how);
    CLEANUP(closedir) DIR *d = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *entry; d && !is_enough(m) && (entry = readdir(d));) {
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        m->size.names++;
        m->size.all_bytes += (uint64_t)st.st_blocks * 512;
        if (is_tree)
            m->size.tree_bytes += (uint64_t)st.st_blocks * 512;
        if (S_ISDIR(st.st_mode) && depth == MAX_DEPTH)
            m->size.is_too_deep = true;
        else if (S_ISDIR(st.st_mode))
            measure(m, fd, entry->d_name, is_tree, depth + 1);
    }
}

int place_measure_build(const struct place *p, const struct uuid *id, const char *user_id,
                        uint64_t max_bytes, uint64_t max_names, struct place_size *ret,
                        struct err *e)
{
    struct measure m = { .max_bytes = max_bytes, .max_names = max_names };
    CLEANUP_FD int build = open_build(p, id, user_id, e);
    if (build < 0)
        return -1;
    measure(&m, build, "tree", true, 0);
    measure(&m, build, "work", false, 0);
    *ret = m.size;
    return 0;
}

int place_take_build(const struct place *p, const struct uuid *id, const char *user_id,
                     const char *language, struct err *e)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/packages", user_id);
    CLEANUP_FD int packages = place_open_own(p, path, e);
    CLEANUP_FD int build = packages < 0 ? -1 : open_build(p, id, user_id, e);
    if (build < 0)
        return -1;
    if (renameat2(build, "tree", packages, language, RENAME_EXCHANGE) < 0)
        return err_errno(e, ERR_INTERNAL, "put the packages in place");
    return 0;
}

void place_stop_build(const struct place *p, const struct uuid *id, const char *user_id)
{
    static const char *const OF_HUB[] = { "requirements.txt", "constraints.txt", "log" };
    CLEANUP_FD int build = open_build(p, id, user_id, NULL);
    if (build < 0)
        return;
    put_aside(p, build, "tree");
    put_all_aside(p, beneath_open(build, "work", O_RDONLY | O_DIRECTORY, 0, NULL), OF_HUB,
                  ARRAY_LEN(OF_HUB));
}

void place_end_build(const struct place *p, const struct uuid *id, const char *user_id)
{
    CLEANUP_FD int all = open_all_builds(p, user_id, NULL);
    if (all >= 0)
        put_aside(p, all, id->text);
}
