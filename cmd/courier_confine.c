#include "cmd/courier_confine.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cmd/role_confine.h"
#include "cmd/sanitized.h"

#define IDS_OF_A_SANDBOX 65536
#define MAX_DATA_BYTES   (1ull << 30) /* bodies, and a stack for each name that is looked up */
#define MAX_FILES        512
#define MAX_THREADS      256

/* What is not there cannot be read. */
static int narrow(const struct config *c, struct err *e)
{
    const char *const READ[] = {
        "/etc/resolv.conf",
        "/run/systemd/resolve", /* where a resolv.conf that is replaced comes from */
        "/etc/hosts",
        "/etc/nsswitch.conf",
        "/etc/host.conf",
        "/etc/gai.conf",
        "/etc/services",
        "/etc/localtime",
        "/etc/ssl/certs",
        "/usr/share/ca-certificates",
        "/usr/local/share/ca-certificates",
        "/etc/pki/tls/certs",
        "/etc/pki/ca-trust",
        config_text(c, CONFIG_COURIER_CA_FILE),
    };
    struct confine_path paths[ARRAY_LEN(READ)];
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(READ); i++)
        if (READ[i][0] && access(READ[i], F_OK) == 0)
            paths[n++] = (struct confine_path){ READ[i], CONFINE_READ };
    /* curl's threads wake its loop by a pair; they look names up, and write nothing */
    const struct role_walls walls = { .doing = "confine the courier",
                                      .paths = paths,
                                      .n_paths = n,
                                      .families =
                                          1u << AF_INET | 1u << AF_INET6 | CONFINE_STREAM_PAIRS };
    return role_confine(c, &walls, e);
}

static int limit(int resource, rlim_t most, struct err *e)
{
    struct rlimit r = { most, most };
    return setrlimit(resource, &r) < 0 ? err_errno(e, ERR_INTERNAL, "limit the courier") : 0;
}

static int become_nobody_else(const struct config *c, struct err *e)
{
    uint64_t id = (uint64_t)config_number(c, CONFIG_KEEPER_ID_BASE) +
                  (uint64_t)config_number(c, CONFIG_KEEPER_ID_COUNT) * IDS_OF_A_SANDBOX;
    if (id >= UINT32_MAX)
        id = (uint64_t)config_number(c, CONFIG_KEEPER_ID_BASE) - 1;
    if (limit(RLIMIT_NPROC, MAX_THREADS, e) < 0)
        return -1;
    return confine_user((unsigned)id, (unsigned)id, NULL, 0, e);
}

int courier_confine(const struct config *c, struct err *e)
{
    if (geteuid() == 0 && become_nobody_else(c, e) < 0)
        return -1;
    if (SANITIZED) {
        log_warning("event=not_confined reason=\"built with a sanitizer\"");
        return 0;
    }
    if (limit(RLIMIT_DATA, MAX_DATA_BYTES, e) < 0 || limit(RLIMIT_FSIZE, 0, e) < 0 ||
        limit(RLIMIT_NOFILE, MAX_FILES, e) < 0)
        return -1;
    return narrow(c, e);
}
