/* idmap.h - an idmapped mount: one directory shown with other owners than it has on disk. */
#ifndef SANDBOX_IDMAP_H
#define SANDBOX_IDMAP_H

#include <sys/types.h>

#include "base/err.h"

/* Who owns on disk, and whom the mount shows in its stead (host ids). */
struct idmap {
    uid_t disk_uid;
    gid_t disk_gid;
    uid_t shown_uid;
    gid_t shown_gid;
};

/* Can this process make a user namespace with that map? */
int idmap_try(const struct idmap *map, struct err *e);

/* Clones the directory dir_fd with the map, nosuid and nodev, and attaches the clone at `target` (a
 * directory). All other owners appear as nobody, and nobody but shown_* can make files in it. */
int idmap_attach(int dir_fd, const struct idmap *map, const char *target, struct err *e);

/* Detaches everything mounted at target; nothing when nothing is. Never follows a symlink. */
int idmap_detach(const char *target, struct err *e);

#endif
