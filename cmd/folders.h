/* folders.h - the service's folders, who owns them, and the lock that lets one service use them.
 *
 *     state          0755 root   /var/lib/kernelhub
 *     ├ hub          0700 hub    the store
 *     ├ workspaces   0700 hub    user code's files: closed to all others, so a setuid file there is
 * of no use └ keeper       0700 root run            0755 root   /run/kernelhub: sockets and pid
 * files
 */
#ifndef CMD_FOLDERS_H
#define CMD_FOLDERS_H

#include <stdbool.h>
#include <sys/types.h>

#include "cmd/paths.h"
#include "kernelhub/config.h"

/* Whom the hub runs as. */
struct folders_user {
    uid_t uid;
    gid_t gid;
};

/* hub/user when we are root (ERR_NOT_FOUND says how to make it), else ourselves. */
int folders_find_user(const struct config *c, struct folders_user *ret, struct err *e);

/* Makes what is missing, sets owners and modes. */
int folders_make(const struct config *c, const struct folders_user *hub, struct err *e);

/* Held until the process ends. ERR_CONFLICT: another service runs on this state folder. */
int folders_lock(const struct config *c, int *ret_fd, struct err *e);

/* Was there a store before this start? */
bool folders_have_store(const struct config *c);

#endif
