/* builder_host.h - what of this host a builder of packages may read: its program, how to reach package indexes. */
#ifndef SANDBOX_BUILDER_HOST_H
#define SANDBOX_BUILDER_HOST_H

#include "sandbox/keeper.h"

#define BUILDER_MAX_ENVIRONMENT 40

struct builder_host {
    char *environment[BUILDER_MAX_ENVIRONMENT + 1]; /* "NAME=value", ends with NULL */
    size_t n;
};

void builder_host_done(struct builder_host *h);

/* Copies program and settings into the folder (absolute), readable for all, and collects variables: of this process's `environ` those that
 * say how pip, npm and TLS reach what they need. Paths of the host are left out, but for those below /etc/ssl/certs. */
int builder_host_prepare(const struct builder_options *o, const char *folder, char **from, struct builder_host *ret, struct err *e);

#endif
