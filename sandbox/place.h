/* place.h - where one instance keeps its things on this host, and who it is.
 *
 *   state_dir/keeper/            0700 root: instance, epoch, lock, containers.conf, podman.sock, empty,
 *                                records/ID.json, images/DIGEST.json, logs/ID.log, runtime,
 *                                spool/ID (for the moment in which a warden opens it)
 *   state_dir/workspaces/        0700 hub: USER/shared, USER/private-SANDBOX; .removed/UUID; for packages place_packages.h
 *   run_dir/sandboxes/ID/        0750 warden:hub  link.sock
 *                       wall/      0755 warden    init.sock; read-only at /run/kernelhub inside
 *                       channels/  0700 warden
 *                       workspace/ 0700 root      mount point of the idmapped workspace
 *                       packages/  0700 root      and of the user's packages
 *   run_dir/wardens/ID           in 0700 root, 0600 warden: what the next warden has to know (warden_notes.h)
 *
 * Read-only after place_open, so every worker's thread may use it. */
#ifndef SANDBOX_PLACE_H
#define SANDBOX_PLACE_H

#include <stdint.h>

#include "base/cleanup.h"
#include "base/uuid.h"
#include "sandbox/keeper.h"
#include "sandbox/policy.h"

#define PLACE_MAX_PATH 256

struct place {
    struct keeper_options options;
    struct uuid instance;
    struct uuid boot_id;
    uint64_t epoch;
    char group[32]; /* of the control groups, and the beginning of the containers' names */
    char keeper_dir[PLACE_MAX_PATH];
    char sandboxes_dir[PLACE_MAX_PATH];
    char wardens_dir[PLACE_MAX_PATH];
    char podman_socket[PLACE_MAX_PATH];
    char containers_conf[PLACE_MAX_PATH];
    char empty_path[PLACE_MAX_PATH];
    struct policy_host host;
    int keeper_fd, records_fd, images_fd, logs_fd, spool_fd, wardens_fd, sandboxes_fd, workspaces_fd;
    int lock_fd;
};

/* Makes what is missing, checks owners, takes the lock (waiting up to lock_ms; then ERR_BUSY) and
 * counts the epoch up. The options' strings are borrowed for as long as the place lives. */
int place_open(const struct keeper_options *options, unsigned lock_ms, struct place *ret, struct err *e);
void place_close(struct place *p);

/* Fills ret[PLACE_MAX_PATH]: run_dir/sandboxes/ID[/leaf], state_dir/keeper/logs/ID.log, …/spool/ID,
 * run_dir/wardens/ID. */
void place_sandbox_path(const struct place *p, const struct uuid *id, const char *leaf, char ret[PLACE_MAX_PATH]);
void place_log_path(const struct place *p, const struct uuid *id, char ret[PLACE_MAX_PATH]);
void place_notes_path(const struct place *p, const struct uuid *id, char ret[PLACE_MAX_PATH]);
void place_spool_path(const struct place *p, const struct uuid *id, char ret[PLACE_MAX_PATH]);

/* Opens a folder beneath the workspaces' root ("USER/shared"), made when missing, as the hub's user. ERR_FORBIDDEN when it is another's.
 * Switches this thread's file system ids meanwhile. */
int place_open_own(const struct place *p, const char *path, struct err *e);
/* Attaches an open folder of the hub's at run_dir/sandboxes/ID/leaf, with `user` (a host id) in the hub's stead. */
int place_attach(const struct place *p, const struct uuid *id, const char *leaf, int fd, unsigned user, struct err *e);

/* Makes the sandbox's directories for its warden. Fails when they are there. */
int place_make_sandbox(const struct place *p, const struct uuid *id, unsigned warden_uid, struct err *e);
/* Opens the user's workspace, made as the hub's user when missing, and attaches it at …/workspace
 * with `user` (a host id) in the hub's stead. Switches this thread's file system ids meanwhile. */
int place_mount_workspace(const struct place *p, const struct uuid *id, const char *user_id, bool is_private,
                          unsigned user, struct err *e);
/* Moves a workspace to where it is nobody's any more. Of none there: 0. Quick: it is one rename. */
int place_put_aside(const struct place *p, const struct uuid *id, const char *user_id, bool is_private, struct err *e);
/* The folder of those, -1: there is none. The caller closes it. */
int place_open_aside(const struct place *p);
int place_make_aside(const struct place *p, struct err *e); /* the same, made when missing */

/* Takes all of that away again, as far as it is there. Never enters a mount. */
int place_remove_sandbox(const struct place *p, const struct uuid *id, struct err *e);

#endif
