/* podman.h - a client of Podman's REST API (libpod, over its Unix socket). Every call blocks, with a
 * deadline: for a worker's thread only. One client belongs to one thread. */
#ifndef SANDBOX_PODMAN_H
#define SANDBOX_PODMAN_H

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/err.h"

#define PODMAN_ID_SIZE 65 /* 64 hex digits */

struct podman;
struct json_t; /* jansson's */

struct podman *podman_new(const char *socket_path);
void podman_free(struct podman *p);
DEFINE_CLEANUP(struct podman, podman_free)

/* True when the service answers. */
bool podman_ping(struct podman *p, unsigned timeout_ms);
int podman_info(struct podman *p, struct json_t **ret, struct err *e);

/* Errors of the container calls: ERR_NOT_FOUND (no such container or image), ERR_CONFLICT (name is
 * taken), ERR_TIMEOUT, ERR_UNAVAILABLE (the service is not there), else ERR_SANDBOX with its words. When the service ends in the
 * middle of a call and is back within some seconds, the call is made again. podman_create: `name` is the document's; a
 * container of that name that an earlier try may have left is removed. */
int podman_create(struct podman *p, const char *name, const char *document, char ret_id[PODMAN_ID_SIZE], struct err *e);
int podman_start(struct podman *p, const char *container, struct err *e);

struct podman_state {
    bool running;
    int pid;       /* host pid of its PID 1, 0 when not running */
    int exit_code; /* 128+n: killed by signal n */
    bool oom_killed;
};
int podman_inspect(struct podman *p, const char *container, struct podman_state *ret, struct err *e);

/* Inspects until the container is not running any more: for timeout_ms, and however long the last answer takes. */
int podman_wait(struct podman *p, const char *container, unsigned timeout_ms, struct podman_state *ret, struct err *e);

/* Kills and removes, and asks again until Podman says 404 (a single forced removal may fail with
 * "device or resource busy" though the container is going). No such container is a success. */
int podman_remove(struct podman *p, const char *container, struct err *e);

/* Containers of any state with the label "KEY=VALUE"; images with the label KEY. Arrays as Podman gives them. */
int podman_list_containers(struct podman *p, const char *label, struct json_t **ret, struct err *e);
int podman_list_images(struct podman *p, const char *label, struct json_t **ret, struct err *e);

#endif
