/* podman_service.h - our own `podman system service`: one child, with a containers.conf of ours, on a
 * socket that only root can reach. It dies with the thread that starts it, which must be the process's
 * main one; containers and their conmons outlive it. */
#ifndef SANDBOX_PODMAN_SERVICE_H
#define SANDBOX_PODMAN_SERVICE_H

#include <sys/types.h>

#include "base/err.h"

struct podman_service {
    pid_t pid;
    int pidfd; /* readable when it has died; -1: not started */
};
#define PODMAN_SERVICE_INIT { .pid = 0, .pidfd = -1 }

/* Writes conf_path and starts the service. Its socket is there some 100 ms later. */
int podman_service_start(struct podman_service *s, const char *runtime, const char *socket_path, const char *conf_path,
                         struct err *e);
void podman_service_stop(struct podman_service *s);

#endif
