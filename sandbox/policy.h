/* policy.h - the shape of every container. What is not decided here is not decided anywhere: a request
 * names a template and limits, and this turns them into the one JSON document that Podman is given
 * (POST libpod/containers/create). Pure: no fd, no clock, no log. */
#ifndef SANDBOX_POLICY_H
#define SANDBOX_POLICY_H

#include <stdint.h>

#include "base/err.h"
#include "protocol/verb.h"

#define POLICY_LABEL_INSTANCE "io.kernelhub.instance"
#define POLICY_LABEL_SANDBOX  "io.kernelhub.sandbox"
#define POLICY_LABEL_USER     "io.kernelhub.user"
#define POLICY_LABEL_TEMPLATE "io.kernelhub.template"
#define POLICY_LABEL_RANGE    "io.kernelhub.range"

#define POLICY_MIN_MEMORY_BYTES (16ll << 20)
/* The highest are those that the configuration allows (kernelhub/config.c): what the administrator could
 * write there must not fail at each session. */
#define POLICY_MAX_MEMORY_BYTES (64ll << 40)
#define POLICY_MIN_PIDS         8
#define POLICY_MAX_PIDS         4194304
#define POLICY_MIN_CPUS         0.01 /* the kernel takes no quota below 1 ms of 100 */
#define POLICY_MAX_CPUS         4096.0
#define POLICY_FILE_BYTES       (16ll << 30) /* the largest file when the request says no workspace_bytes */
#define POLICY_MAX_NOFILE       16384
#define POLICY_LOG_BYTES        (64 << 10)

/* Our own hard limits: without CAP_SYS_RESOURCE nobody can raise them for a container. */
struct policy_host {
    uint64_t nofile;
    uint64_t nproc;
};

/* What a builder of packages has instead of a warden and a workspace. All absolute paths on the host. */
struct policy_builder {
    const char *language;         /* its argument, and the folder below /packages that it makes */
    const char *tree_dir;         /* read-write at /packages/LANGUAGE */
    const char *work_dir;         /* read-write at /build */
    const char *old_dir;          /* read-only at /run/packages: what is installed */
    const char *host_dir;         /* read-only at /run/kernelhub: its program, the host's settings for it */
    const char *certificates_dir; /* read-only at /etc/ssl/certs; NULL: the image's */
    const char *wheels_dir;       /* read-only at /run/wheels; NULL: none */
    const char *resolv_path;      /* read-only at /etc/resolv.conf; NULL: an empty one */
    const char *hosts_path;       /* read-only at /etc/hosts; NULL: an empty one */
    bool host_network;
    const char *const *environment; /* "NAME=value", ends with NULL */
};

struct policy_container {
    const char *name;          /* of the container */
    const char *instance;      /* labels … */
    const char *sandbox_id;
    const char *user_id;       /* "" for a container that belongs to no user */
    const char *template_name;
    unsigned range_index;
    const char *image_id;      /* 64 hex digits, never a name that could be pulled */
    unsigned first_id;         /* host id of the container's 0 */
    struct verb_limits limits;

    /* All absolute paths on the host. */
    const char *init_path;
    const char *seccomp_path;
    const char *empty_path;     /* an empty file: /etc/hosts and /etc/resolv.conf */
    const char *wall_dir;       /* NULL: no way out at all, not even to a warden */
    const char *packages_dir;   /* read-only at /packages; NULL: nothing there */
    const char *workspace_dir;  /* NULL: /workspace is an empty tmpfs */
    const char *log_path;       /* init's own stdout and stderr */
    int64_t log_bytes;          /* 0: POLICY_LOG_BYTES */
    const char *cgroup_parent;
    const char *argument;       /* init's only argument, or NULL */
    const struct policy_builder *builder; /* NULL: init runs, for a sandbox or to look into the image */
    struct policy_host host;
};

/* ERR_INVALID when a limit is out of what policy allows. */
int policy_check_limits(const struct verb_limits *limits, struct err *e);

/* The document, malloc'd. ERR_INVALID as above and for a malformed image id or path. */
int policy_create_json(const struct policy_container *c, char **ret, struct err *e);

#endif
