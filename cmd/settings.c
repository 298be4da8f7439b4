#include "cmd/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#define DEFAULT_FILE KH_SYSCONFDIR "/kernelhub/kernelhub.conf"
#define SYSTEM_FILE  "/etc/kernelhub/kernelhub.conf"

const char *settings_file(const struct settings *s)
{
    if (s->config_file)
        return s->config_file;
    return access(DEFAULT_FILE, F_OK) == 0 ? DEFAULT_FILE : SYSTEM_FILE;
}

static int set_one(struct config *c, const char *assignment, struct err *e)
{
    char name[128];
    const char *equals = strchr(assignment, '=');

    if (!equals || equals == assignment || (size_t)(equals - assignment) >= sizeof name)
        return err_set(e, ERR_INVALID, "--set takes section/key=value, not '%.100s'", assignment);
    memcpy(name, assignment, (size_t)(equals - assignment));
    name[equals - assignment] = '\0';
    return config_set(c, name, equals + 1, "--set", e);
}

static int set_flags(const struct settings *s, struct config *c, struct err *e)
{
    const struct {
        const char *name, *value, *source;
    } flags[] = {
        { "server/port", s->port, "--port" },
        { "server/address", s->address, "--address" },
        { "server/auth", s->auth, "--auth" },
        { "paths/state", s->state, "--state" },
        { "paths/run", s->run, "--run" },
        { "keeper/allow_weak", s->allow_weak ? "1" : NULL, "--allow-weak" },
    };

    for (size_t i = 0; i < s->set.n; i++)
        if (set_one(c, s->set.items[i], e) < 0)
            return -1;
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (flags[i].value && config_set(c, flags[i].name, flags[i].value, flags[i].source, e) < 0)
            return -1;
    return 0;
}

int settings_read(const struct settings *s, struct config **ret, struct err *e)
{
    CLEANUP(config_free) struct config *c = config_new();

    if (config_read_file(c, settings_file(s), !s->config_file, e) < 0 ||
        config_read_environment(c, environ, e) < 0 || set_flags(s, c, e) < 0 ||
        config_check(c, e) < 0)
        return -1;
    *ret = TAKE(c);
    return 0;
}

int settings_copy(const char *path, int *ret_fd, struct err *e)
{
    CLEANUP_FD int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 && errno != ENOENT)
        return err_errno(e, ERR_INTERNAL, "read %s", path);
    CLEANUP_FD int copy = memfd_create("kernelhub.conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ssize_t n = copy < 0 ? -1 : file < 0 ? 0 : 1;
    while (n > 0)
        n = sendfile(copy, file, NULL, 1 << 20);
    if (n < 0)
        return err_errno(e, ERR_INTERNAL, "read %s", path);
    /* each role has the same file in its hands, and root reads it again */
    if (fcntl(copy, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return err_errno(e, ERR_INTERNAL, "seal the copy of %s", path);
    *ret_fd = TAKE_FD(copy);
    return 0;
}

int settings_arguments(const struct settings *s, const char **argv, size_t size, size_t *n,
                       struct err *e)
{
    const struct {
        const char *option, *value;
    } pairs[] = {
        { "--config", s->config_file }, { "--port", s->port },   { "--address", s->address },
        { "--auth", s->auth },          { "--state", s->state }, { "--run", s->run },
    };

    if (*n + 2 * (ARRAY_LEN(pairs) + s->set.n) + 2 > size)
        return err_set(e, ERR_TOO_LARGE, "too many options");
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        if (!pairs[i].value)
            continue;
        argv[(*n)++] = pairs[i].option;
        argv[(*n)++] = pairs[i].value;
    }
    for (size_t i = 0; i < s->set.n; i++) {
        argv[(*n)++] = "--set";
        argv[(*n)++] = s->set.items[i];
    }
    if (s->allow_weak)
        argv[(*n)++] = "--allow-weak";
    argv[*n] = NULL;
    return 0;
}
