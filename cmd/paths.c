#include "cmd/paths.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* secure_getenv: a setuid kernelhub would not let its caller choose what root runs. */
static const char *overridden(const char *variable, const char *compiled)
{
    const char *value = secure_getenv(variable);
    return value && value[0] == '/' ? value : compiled;
}

const char *paths_libexec(void)
{
    return overridden("KERNELHUB_LIBEXEC", KH_LIBEXECDIR);
}

const char *paths_data(void)
{
    return overridden("KERNELHUB_DATA", KH_DATADIR);
}

int paths_join(char ret[PATH_SIZE], const char *folder, const char *name, struct err *e)
{
    int n = snprintf(ret, PATH_SIZE, "%s/%s", folder, name);
    if (n < 0 || n >= PATH_SIZE)
        return err_set(e, ERR_INVALID, "the path %.100s… is too long", folder);
    return 0;
}

/* The uid in SUDO_UID counts only when root reads it: anyone else could claim to be anybody. */
static uid_t real_uid(void)
{
    const char *sudo = getenv("SUDO_UID");
    char *end = NULL;

    if (geteuid() != 0 || !sudo || !*sudo)
        return geteuid();
    unsigned long uid = strtoul(sudo, &end, 10);
    return *end || uid >= (uid_t)-1 ? geteuid() : (uid_t)uid;
}

int paths_find_owner(struct paths_owner *ret, struct err *e)
{
    uid_t uid = real_uid();
    const char *home = uid == geteuid() ? getenv("HOME") : NULL;
    struct passwd *entry = getpwuid(uid);

    ret->uid = uid;
    ret->gid = entry ? entry->pw_gid : getegid();
    if (!home || home[0] != '/')
        home = entry ? entry->pw_dir : NULL;
    if (!home)
        return err_set(e, ERR_NOT_FOUND, "user %u has no home folder: set HOME", uid);
    if (strlen(home) >= sizeof ret->home)
        return err_set(e, ERR_INVALID, "the path of the home folder is too long");
    strcpy(ret->home, home);
    return 0;
}

int paths_token_file(const char *configured, char ret[PATH_SIZE], struct err *e)
{
    struct paths_owner owner;
    const char *file = *configured ? configured : getenv("KERNELHUB_TOKEN_FILE");
    const char *config = getenv("XDG_CONFIG_HOME");

    if (file && *file) {
        if (strlen(file) >= PATH_SIZE)
            return err_set(e, ERR_INVALID, "the token file's path is too long");
        strcpy(ret, file);
        return 0;
    }
    if (config && config[0] == '/')
        return paths_join(ret, config, "kernelhub/token", e);
    if (paths_find_owner(&owner, e) < 0)
        return -1;
    return paths_join(ret, owner.home, ".config/kernelhub/token", e);
}

int paths_make_all(const char *path, struct err *e)
{
    char part[PATH_SIZE];

    if (path[0] != '/' || strlen(path) >= sizeof part)
        return err_set(e, ERR_INVALID, "'%.100s' is no absolute path of a folder", path);
    for (size_t i = 1; i <= strlen(path); i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0755) < 0 && errno != EEXIST)
            return err_errno(e, ERR_INTERNAL, "make the folder %s", part);
    }
    return 0;
}
