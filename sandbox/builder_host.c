#include "sandbox/builder_host.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/small_file.h"

#define MAX_SETTINGS_BYTES (256u << 10)
#define MAX_PATH           512

/* Always there. */
static const char *const FIXED[] = {
    "PATH=/opt/python/bin:/usr/local/bin:/usr/bin:/bin",
    "HOME=/build/home",
    "TMPDIR=/build/tmp",
    "XDG_CACHE_HOME=/build/tmp",
    "PIP_CONFIG_FILE=/build/pip.conf",
    "PIP_NO_INPUT=1",
    "PIP_NO_CACHE_DIR=1",
    "PIP_DISABLE_PIP_VERSION_CHECK=1",
    "PIP_PROGRESS_BAR=off",
    "DENO_DIR=/build/deno",
    "DENO_NO_UPDATE_CHECK=1",
    "DENO_NO_PROMPT=1",
    "DENO_TLS_CA_STORE=system",
    "NO_COLOR=1",
};

/* What a host's environment may say of indexes, proxies and certificates. */
static const char *const LENT[] = {
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_TRUSTED_HOST",
    "PIP_CERT",
    "PIP_PROXY",
    "PIP_TIMEOUT",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_RETRIES",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "DENO_CERT",

    "NPM_CONFIG_REGISTRY",
    "npm_config_registry",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
};

void builder_host_done(struct builder_host *h)
{
    for (size_t i = 0; i < h->n; i++)
        free(h->environment[i]);
    h->n = 0;
}

static void add(struct builder_host *h, const char *variable)
{
    if (h->n == BUILDER_MAX_ENVIRONMENT)
        return;
    h->environment[h->n] = strdup(variable);
    assert(h->environment[h->n]);
    h->environment[++h->n] = NULL;
}

/* A path of the host means nothing in a container. */
static bool is_of_use(const char *value)
{
    return *value && (value[0] != '/' || strncmp(value, "/etc/ssl/certs/", 15) == 0);
}

static void add_lent(struct builder_host *h, char **from)
{
    for (; *from; from++) {
        size_t n = strcspn(*from, "=");
        for (size_t i = 0; (*from)[n] && i < ARRAY_LEN(LENT); i++)
            if (strlen(LENT[i]) == n && memcmp(LENT[i], *from, n) == 0 && is_of_use(*from + n + 1))
                add(h, *from);
    }
}

static const char *variable(char **from, const char *name)
{
    size_t n = strlen(name);
    for (; *from; from++)
        if (strncmp(*from, name, n) == 0 && (*from)[n] == '=')
            return *from + n + 1;
    return "";
}

static int copy_file(const char *path, const char *folder, const char *name, bool must,
                     struct err *e)
{
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_SETTINGS_BYTES);
    char target[MAX_PATH];
    struct err missing = ERR_INIT;
    if (small_file_read(AT_FDCWD, path, &text, &missing) < 0)
        return must ? err_set(e, ERR_UNAVAILABLE, "%s", missing.text) : 0;
    snprintf(target, sizeof target, "%.400s/%s", folder, name);
    return small_file_write(AT_FDCWD, target, buf_slice(&text), 0644, e);
}

/* In the order in which a later one goes before an earlier one; the builder's program joins them. */
static int copy_settings(const char *folder, char **from, struct err *e)
{
    const char *home = variable(from, "HOME"), *config = variable(from, "XDG_CONFIG_HOME");
    char in_config[MAX_PATH], in_home[MAX_PATH], npm[MAX_PATH];
    snprintf(in_config, sizeof in_config, "%.400s%s/pip/pip.conf", *config ? config : home,
             *config ? "" : "/.config");
    snprintf(in_home, sizeof in_home, "%.400s/.pip/pip.conf", home);
    snprintf(npm, sizeof npm, "%.400s/.npmrc", home);
    const struct {
        const char *path, *name;
    } FILES[] = {
        { "/etc/pip.conf", "pip-1.conf" },
        { in_config, "pip-2.conf" },
        { in_home, "pip-3.conf" },
        { variable(from, "PIP_CONFIG_FILE"), "pip-4.conf" },
        { "/usr/etc/npmrc", "npmrc-1" },
        { "/etc/npmrc", "npmrc-2" },
        { npm, "npmrc-3" },
    };
    for (size_t i = 0; i < ARRAY_LEN(FILES); i++)
        if (FILES[i].path[0] == '/' &&
            copy_file(FILES[i].path, folder, FILES[i].name, false, e) < 0)
            return -1;
    return 0;
}

int builder_host_prepare(const struct builder_options *o, const char *folder, char **from,
                         struct builder_host *ret, struct err *e)
{
    struct builder_host h = { .n = 0 };
    if (copy_file(o->program, folder, "build-packages", true, e) < 0 ||
        (o->host_settings && copy_settings(folder, from, e) < 0))
        return err_in(e, "prepare the builder");
    for (size_t i = 0; i < ARRAY_LEN(FIXED); i++)
        add(&h, FIXED[i]);
    if (!o->host_network)
        add(&h, "PIP_NO_INDEX=1");
    if (o->wheels_dir)
        add(&h, "PIP_FIND_LINKS=/run/wheels");
    if (o->host_settings)
        add_lent(&h, from);
    *ret = h;
    return 0;
}
