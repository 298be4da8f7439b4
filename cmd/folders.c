#include "cmd/folders.h"

#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

int folders_find_user(const struct config *c, struct folders_user *ret, struct err *e)
{
    const char *name = config_text(c, CONFIG_HUB_USER);

    if (geteuid() != 0) {
        *ret = (struct folders_user){ geteuid(), getegid() };
        return 0;
    }
    const struct passwd *entry = getpwnam(name);
    if (!entry)
        return err_set(
            e, ERR_NOT_FOUND,
            "there is no user '%.60s' for the hub; make it with: useradd --system --user-group "
            "--home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin %.60s",
            name, name);
    if (entry->pw_uid == 0)
        return err_set(e, ERR_INVALID, "hub/user: the hub must not run as root");
    *ret = (struct folders_user){ entry->pw_uid, entry->pw_gid };
    return 0;
}

/* The last component must be a folder and no symlink: we are about to give it away. */
static int make_one(const char *path, mode_t mode, const struct folders_user *owner, struct err *e)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_errno(e, ERR_INTERNAL, "make the folder %s", path);
    CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, ERR_INTERNAL, "open the folder %s", path);
    if (fchown(fd, owner->uid, owner->gid) < 0 || fchmod(fd, mode) < 0)
        return err_errno(e, ERR_INTERNAL, "set owner and mode of %s", path);
    return 0;
}

int folders_make(const struct config *c, const struct folders_user *hub, struct err *e)
{
    const char *state = config_text(c, CONFIG_PATHS_STATE), *run = config_text(c, CONFIG_PATHS_RUN);
    const struct folders_user self = { geteuid(), getegid() };
    const struct {
        const char *folder, *name;
        mode_t mode;
        const struct folders_user *owner;
    } table[] = {
        { state, ".", 0755, &self },        { state, "hub", 0700, hub },
        { state, "workspaces", 0700, hub }, { state, "keeper", 0700, &self },
        { run, ".", 0755, &self },
    };
    char path[PATH_SIZE];

    if (paths_make_all(state, e) < 0 || paths_make_all(run, e) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (paths_join(path, table[i].folder, table[i].name, e) < 0 ||
            make_one(path, table[i].mode, table[i].owner, e) < 0)
            return -1;
    return 0;
}

int folders_lock(const struct config *c, int *ret_fd, struct err *e)
{
    char path[PATH_SIZE];

    if (paths_join(path, config_text(c, CONFIG_PATHS_STATE), "lock", e) < 0)
        return -1;
    CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(e, ERR_INTERNAL, "open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return err_set(e, ERR_CONFLICT,
                       "a service runs on %s already; end it with 'kernelhub stop', or give this "
                       "one another folder "
                       "with --state (and --run, --port)",
                       config_text(c, CONFIG_PATHS_STATE));
    *ret_fd = TAKE_FD(fd);
    return 0;
}

bool folders_have_store(const struct config *c)
{
    char path[PATH_SIZE];
    bool found = false;

    if (paths_join(path, config_text(c, CONFIG_PATHS_STATE), "hub", NULL) < 0)
        return false;
    DIR *dir = opendir(path);
    const struct dirent *entry;
    while (dir && !found && (entry = readdir(dir)))
        found = entry->d_name[0] != '.';
    if (dir)
        (void)closedir(dir);
    return found;
}
