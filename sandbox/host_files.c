#include "sandbox/host_files.h"

#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_ours(uid_t uid)
{
    return uid == 0 || uid == geteuid();
}

static bool has_members(gid_t gid)
{
    if (gid == 0)
        return false; /* root's own */
    const struct group *group = getgrgid(gid);
    if (group && group->gr_mem[0])
        return true;
    const struct passwd *user;
    setpwent();
    while ((user = getpwent()) && (user->pw_gid != gid || is_ours(user->pw_uid)))
        ;
    endpwent();
    return user != NULL;
}

/* In a sticky folder only what is one's own can be renamed or removed; and the next component's owner is
 * looked at, too. */
static int check_one(const char *path, bool is_folder, struct err *e)
{
    struct stat link, st;
    if (lstat(path, &link) < 0 || stat(path, &st) < 0)
        return err_errno(e, ERR_NOT_FOUND, "look at '%.150s'", path);
    if (!is_ours(link.st_uid) || !is_ours(st.st_uid))
        return err_set(e, ERR_FORBIDDEN,
                       "'%.150s' belongs to user %u, who can replace what is in it", path,
                       (unsigned)(is_ours(st.st_uid) ? link.st_uid : st.st_uid));
    if (!is_folder || (st.st_mode & S_ISVTX))
        return 0;
    if (st.st_mode & S_IWOTH)
        return err_set(e, ERR_FORBIDDEN, "everybody can replace what is in '%.150s'", path);
    if ((st.st_mode & S_IWGRP) && has_members(st.st_gid))
        return err_set(e, ERR_FORBIDDEN, "group %u can replace what is in '%.150s'",
                       (unsigned)st.st_gid, path);
    return 0;
}

static int check_way(const char *path, struct err *e)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (path[0] != '/' || len >= sizeof part)
        return err_set(e, ERR_INVALID, "'%.150s' is no absolute path", path);
    if (check_one("/", true, e) < 0)
        return -1;
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (check_one(part, path[i] == '/', e) < 0)
            return -1;
    }
    return 0;
}

int host_files_check(const char *path, struct err *e)
{
    char true_path[PATH_MAX];
    if (check_way(path, e) < 0)
        return -1;
    if (!realpath(path, true_path))
        return err_errno(e, ERR_NOT_FOUND, "follow '%.150s'", path);
    return strcmp(path, true_path) == 0 ? 0 : check_way(true_path, e);
}

int host_files_check_program(const char *path, struct err *e)
{
    struct stat st;
    if (host_files_check(path, e) < 0)
        return -1;
    if (stat(path, &st) < 0)
        return err_errno(e, ERR_NOT_FOUND, "look at '%.150s'", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_INVALID, "'%.150s' is no file", path);
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return err_set(e, ERR_FORBIDDEN, "others than root can write to '%.150s'", path);
    return 0;
}
