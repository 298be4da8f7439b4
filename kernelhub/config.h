/* config.h - every setting: a default, then the file (czmq's ZPL), then KERNELHUB__SECTION__KEY, then flags. */
#ifndef KERNELHUB_CONFIG_H
#define KERNELHUB_CONFIG_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* One line a setting, in config.c's table: name, type, default, range, what it means. */
enum config_key {
    CONFIG_SERVER_ADDRESS,     /* server/address      127.0.0.1 */
    CONFIG_SERVER_PORT,        /* server/port         8080 */
    CONFIG_SERVER_AUTH,        /* server/auth         key | none (loopback only) */
    CONFIG_SERVER_METRICS_TOKEN, /* server/metrics_token  loopback | always | never: when /metrics needs a token */
    CONFIG_SERVER_MAX_BODY,    /* server/max_body_bytes 10 MiB */
    CONFIG_SERVER_MAX_CONNECTIONS, /* server/max_connections 1024 */
    CONFIG_SERVER_ALLOWED_ORIGINS, /* server/allowed_origins "": other sites whose pages may open WebSockets and use MCP and the
                                    * Jupyter Server API, "https://a https://b" */
    CONFIG_SERVER_BASE_PATH,   /* server/base_path    "": where a reverse proxy shows us, "/kernelhub" */
    CONFIG_SERVER_PING,        /* server/websocket_ping_seconds 20: after so long a silence; dead after three more of them */
    CONFIG_PATHS_STATE,        /* paths/state         /var/lib/kernelhub */
    CONFIG_PATHS_RUN,          /* paths/run           /run/kernelhub */
    CONFIG_PATHS_TOKEN_FILE,   /* paths/token_file    "" = ~/.config/kernelhub/token of the starting user */
    CONFIG_HUB_USER,           /* hub/user            kernelhub: who the hub runs as when started by root */
    CONFIG_KEEPER_RUNTIME,     /* keeper/runtime      "" = probe */
    CONFIG_KEEPER_PODMAN_SOCKET, /* keeper/podman_socket "" = start a private one */
    CONFIG_KEEPER_ALLOW_WEAK,  /* keeper/allow_weak   0 */
    CONFIG_KEEPER_ID_BASE,     /* keeper/id_base      1879048192 */
    CONFIG_KEEPER_ID_COUNT,    /* keeper/id_count     4095 */
    CONFIG_TEMPLATE_DEFAULT,   /* template/default    slim; the template used when none is named */
    CONFIG_TEMPLATE_PREFERRED, /* template/preferred  python; used instead of the default once its image exists */
    CONFIG_SANDBOX_IDLE,       /* sandbox/idle_seconds 1800: a sandbox that nobody uses for so long is ended, unless it asked otherwise */
    CONFIG_LIMITS_MEMORY,      /* limits/memory_bytes 2 GiB per sandbox */
    CONFIG_LIMITS_CPUS,        /* limits/cpus         2 (milli-CPUs in the number: 2000) */
    CONFIG_LIMITS_PIDS,        /* limits/pids         256 */
    CONFIG_LIMITS_WORKSPACE,   /* limits/workspace_bytes 10 GiB */
    CONFIG_LIMITS_WORKSPACE_FILES, /* limits/workspace_files 1000000 */
    CONFIG_LIMITS_MIN_FREE,        /* limits/min_free_bytes 256M */
    CONFIG_LIMITS_OUTPUT,      /* limits/max_output_bytes 32 MiB: default and ceiling of an execution's output */
    CONFIG_LIMITS_CODE,        /* limits/max_code_bytes 1 MiB */
    CONFIG_LIMITS_TIMEOUT,     /* limits/max_timeout_seconds 86400 */
    CONFIG_LIMITS_SESSIONS,    /* limits/max_sessions 16 per user */
    CONFIG_LIMITS_QUEUE,       /* limits/max_queue    256 executions waiting per session */
    CONFIG_LIMITS_SOCKETS,     /* limits/max_sockets  64 WebSockets of a user */
    CONFIG_LIMITS_SANDBOXES,   /* limits/max_sandboxes 64 in all */
    CONFIG_LIMITS_SPOOL,       /* limits/spool_bytes  256 MiB: on disk, for a sandbox's output while no hub takes it */
    CONFIG_LIMITS_USER_SANDBOXES, /* limits/max_user_sandboxes 16 of one user */
    CONFIG_LIMITS_IDLE,        /* limits/max_idle_seconds 604800: ceiling of idle_seconds */
    CONFIG_LIMITS_TTL,         /* limits/max_ttl_seconds 0: ceiling of a sandbox's whole life; 0: none */
    CONFIG_PACKAGES_PYTHON,    /* packages/python     "": what users may install, "numpy>=2,<3 types-*"; may be said in several lines */
    CONFIG_PACKAGES_JAVASCRIPT, /* packages/javascript "": the same for npm, "lodash@^4 @types/x" */
    CONFIG_PACKAGES_NETWORK,   /* packages/network    none | host: what builders of packages reach */
    CONFIG_PACKAGES_WHEELS,    /* packages/wheels     "": a folder of this host with packages for them */
    CONFIG_PACKAGES_HOST_SETTINGS, /* packages/host_settings 1: they may read this host's certificates and settings of pip and npm */
    CONFIG_PACKAGES_MAX_BYTES, /* packages/max_bytes  4 GiB for a user and language */
    CONFIG_PACKAGES_MEMORY,    /* packages/memory_bytes 2 GiB for a builder */
    CONFIG_PACKAGES_TIMEOUT,   /* packages/timeout_seconds 600 for a build */
    CONFIG_LIMITS_FOLDERS,     /* limits/watched_folders 8192 of a workspace, for files_changed; 0: nobody looks */
    CONFIG_HISTORY_MAX_EXECUTIONS, /* history/max_executions 100000 */
    CONFIG_HISTORY_MAX_DAYS,   /* history/max_days    90 */
    CONFIG_HISTORY_MAX_BYTES,  /* history/max_bytes   10 GiB */
    CONFIG_COURIER_ALLOW,      /* courier/allow       "": networks that callbacks may reach although they are private, by commas */
    CONFIG_COURIER_ALLOW_PRIVATE, /* courier/allow_private 0: any address */
    CONFIG_COURIER_CA_FILE,    /* courier/ca_file     "": the system's certificates */
    CONFIG_COURIER_TIMEOUT,    /* courier/timeout_seconds 15, for one call */
    CONFIG_COURIER_FIRST_RETRY, /* courier/first_retry_seconds 5 (milliseconds in the number); each next one four times as long */
    CONFIG_COURIER_MAX_ATTEMPTS, /* courier/max_attempts 24 */
    CONFIG_MCP_SSE,            /* mcp/sse             1: the transport of 2024-11-05 at /sse */
    CONFIG_MCP_STRUCTURED,     /* mcp/structured_content 1: results have structuredContent, tools an outputSchema */
    CONFIG_MCP_EXCEPTIONS,     /* mcp/exceptions_are_errors 1: what user code raises is isError */
    CONFIG_MCP_FIXTURES,       /* mcp/fixtures        0: what the conformance suite asks for; loopback only */
    CONFIG_MCP_RESOURCE,       /* mcp/resource        "": the address of /mcp, as clients see it, for authorization servers */
    CONFIG_MCP_AUTHORIZATION,  /* mcp/authorization_servers "": who gives out keys, addresses separated by blanks */
    CONFIG_LOG_LEVEL,          /* log/level           info */
    CONFIG_N_KEYS
};

struct config;

/* A config of defaults. */
struct config *config_new(void);
void config_free(struct config *c);

/* Reads a ZPL file. A wrong key or value: -1 and e names file, line and what is allowed. missing_ok: a
 * file that is not there is no error. */
int config_read_file(struct config *c, const char *path, bool missing_ok, struct err *e);
/* Reads KERNELHUB__SECTION__KEY variables from environ. */
int config_read_environment(struct config *c, char **environment, struct err *e);
/* Sets by name ("server/port"); source is shown by config_print, e.g. "--port". */
int config_set(struct config *c, const char *name, const char *value, const char *source, struct err *e);

/* Settings that contradict each other: -1 and e names both. */
int config_check(const struct config *c, struct err *e);
int config_check_packages(const struct config *c, struct err *e); /* a part of it */

const char *config_name(enum config_key key); /* "limits/pids" */
const char *config_text(const struct config *c, enum config_key key);
int64_t config_number(const struct config *c, enum config_key key);
bool config_flag(const struct config *c, enum config_key key);

/* Every setting, one per line: name = value   # where it came from. */
void config_print(const struct config *c, struct buf *out);

#endif
