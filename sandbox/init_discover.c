#include "sandbox/init_discover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define MAX_SPECS      64
#define MAX_NAME       64
#define MAX_SPEC_BYTES (64u * 1024)
#define MAX_LOGO_BYTES (256u * 1024) /* all of them: what is printed has a limit */
#define SHARE          "/share/jupyter/kernels"

struct discovery {
    int out;
    bool failed;
    size_t n, logo_bytes;
    char names[MAX_SPECS][MAX_NAME + 1];
    char bytes[MAX_SPEC_BYTES + 1];
};

static void put(struct discovery *d, const char *bytes, size_t len)
{
    while (len && !d->failed) {
        ssize_t n = write(d->out, bytes, len);
        d->failed = n <= 0 && errno != EINTR;
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        }
    }
}

static bool is_name(const char *name)
{
    size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    return n > 0 && n <= MAX_NAME && !name[n] && name[0] != '.';
}

static bool is_known(const struct discovery *d, const char *name)
{
    for (size_t i = 0; i < d->n; i++)
        if (!strcmp(d->names[i], name))
            return true;
    return false;
}

/* The image may hold a fifo or a device by that name: not waited for, not read. */
static ssize_t read_file(struct discovery *d, int spec, const char *name)
{
    CLEANUP_FD int fd = openat(spec, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return -1;
    size_t len = 0;
    while (len <= MAX_SPEC_BYTES) {
        ssize_t n = read(fd, d->bytes + len, sizeof d->bytes - len);
        if (n < 0)
            return -1;
        if (n == 0)
            return (ssize_t)len;
        len += (size_t)n;
    }
    return -1; /* too big */
}

/* What was read last, behind its name. */
static void put_file(struct discovery *d, const char *name, ssize_t len)
{
    char digits[16], *at = digits + sizeof digits;
    *--at = '\0';
    for (ssize_t rest = len; rest; rest /= 10)
        *--at = (char)('0' + rest % 10);
    put(d, name, strlen(name) + 1);
    put(d, at, strlen(at) + 1);
    put(d, d->bytes, (size_t)len);
}

static void take_logos(struct discovery *d, int spec, const char *name)
{
    static const char *const LOGOS[] = { "logo-32x32.png", "logo-64x64.png", "logo-svg.svg" };
    for (size_t i = 0; i < ARRAY_LEN(LOGOS); i++) {
        char path[MAX_NAME + 1 + 32];
        ssize_t len = read_file(d, spec, LOGOS[i]);
        if (len <= 0 || d->logo_bytes + (size_t)len > MAX_LOGO_BYTES)
            continue;
        d->logo_bytes += (size_t)len;
        strcpy(path, name);
        strcat(path, "/");
        strcat(path, LOGOS[i]);
        put_file(d, path, len);
    }
}

static void take(struct discovery *d, int folder, const char *name)
{
    if (d->n == MAX_SPECS || !is_name(name) || is_known(d, name))
        return;
    CLEANUP_FD int spec = openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ssize_t len = spec < 0 ? -1 : read_file(d, spec, "kernel.json");
    if (len <= 0)
        return;
    strcpy(d->names[d->n++], name);
    put_file(d, name, len);
    take_logos(d, spec, name);
}

/* base (len bytes), then rest; absolute ones only. */
static void scan(struct discovery *d, const char *base, size_t len, const char *rest)
{
    char path[PATH_MAX];
    if (len == 0 || base[0] != '/' || len + strlen(rest) >= sizeof path)
        return;
    memcpy(path, base, len);
    strcpy(path + len, rest);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *e; dir && (e = readdir(dir));)
        take(d, dirfd(dir), e->d_name);
    if (dir)
        (void)closedir(dir); /* was only read */
}

static void scan_jupyter_path(struct discovery *d)
{
    const char *at = getenv("JUPYTER_PATH");
    while (at) {
        const char *end = strchrnul(at, ':');
        scan(d, at, (size_t)(end - at), "/kernels");
        at = *end ? end + 1 : NULL;
    }
}

/* PREFIX/bin in $PATH is what sys.prefix would say of an environment made active. */
static void scan_prefixes(struct discovery *d)
{
    const char *at = getenv("PATH");
    while (at) {
        const char *end = strchrnul(at, ':');
        size_t len = (size_t)(end - at);
        if (len > 4 && !memcmp(end - 4, "/bin", 4))
            scan(d, at, len - 4, SHARE);
        at = *end ? end + 1 : NULL;
    }
}

static void scan_opt(struct discovery *d)
{
    DIR *dir = opendir("/opt");
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char prefix[PATH_MAX] = "/opt/";
        if (e->d_name[0] == '.')
            continue;
        strcat(prefix, e->d_name);
        scan(d, prefix, strlen(prefix), SHARE);
    }
    if (dir)
        (void)closedir(dir); /* was only read */
}

int init_discover(int out)
{
    struct discovery *d = calloc(1, sizeof *d);
    if (!d)
        return -1;
    d->out = out;
    const char *data = getenv("JUPYTER_DATA_DIR"), *home = getenv("HOME");
    scan_jupyter_path(d);
    if (data)
        scan(d, data, strlen(data), "/kernels");
    if (home)
        scan(d, home, strlen(home), "/.local" SHARE);
    scan_prefixes(d);
    scan_opt(d);
    static const char *const system[] = { "/usr/local", "/usr" };
    for (size_t i = 0; i < ARRAY_LEN(system); i++)
        scan(d, system[i], strlen(system[i]), SHARE);
    bool failed = d->failed;
    free(d);
    return failed ? -1 : 0;
}
