/* keeper.h - the only role that is root and speaks to Podman: makes and removes sandboxes at the
 * hub's request (keeper.sock, the verbs of protocol/verb.h), and tells when one has ended. */
#ifndef SANDBOX_KEEPER_H
#define SANDBOX_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define KEEPER_DEFAULT_ID_BASE  0x70000000u
#define KEEPER_DEFAULT_ID_COUNT 4095u

/* What builds of packages may have; they have nothing else. */
struct builder_options {
    const char *program;    /* a file: what runs in the builder */
    bool host_network;      /* else none */
    bool host_settings;     /* the host's certificates and settings of package clients, to read */
    const char *wheels_dir; /* a folder with packages, to read; NULL: none */
    int64_t max_bytes;      /* of a user's packages for one language; twice that on disk while they are built */
    uint64_t min_free_bytes; /* of the disk: with less a build is ended */
    int64_t memory_bytes, pids;
    double cpus;
    unsigned timeout_s;
};

struct keeper_options {
    const char *state_dir; /* its own things in state_dir/keeper (0700), workspaces in state_dir/workspaces (0700, the hub's) */
    const char *run_dir;   /* keeper.sock and sandboxes/ID/ */
    unsigned hub_uid, hub_gid;
    const char *init_path, *warden_path, *seccomp_path; /* the installed files, absolute */
    const char *podman_socket; /* NULL: start a private `podman system service` */
    const char *runtime;       /* NULL: the first of crun, runc that works here */
    bool allow_weak;           /* start although the host cannot enforce everything */
    unsigned id_base, id_count; /* ranges of 65,536 host ids; 0: the defaults */
    unsigned max_sandboxes;     /* 0: as many as there are ranges */
    struct builder_options builder;
    uint64_t workspace_bytes, workspace_files; /* of a user, where the file system has project quotas; 0: it is not asked */
    unsigned spool_mib;         /* of a warden's file for what no hub has taken yet; 0: none */
};

/* Serves until SIGTERM or SIGINT, then returns 0. Sandboxes and their wardens live on; the next
 * keeper_run adopts them. Blocks SIGTERM and SIGINT in the calling thread and
 * ignores SIGPIPE from then on. */
int keeper_run(const struct keeper_options *options, struct err *e);

/* Removes every container, warden, mount and directory of this instance; workspaces stay. ERR_BUSY
 * when a keeper still runs after 10 s. */
int keeper_purge(const struct keeper_options *options, struct err *e);

#endif
