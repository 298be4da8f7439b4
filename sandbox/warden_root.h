/* warden_root.h - the file system as a warden sees it: its own folder and the way to the keeper's socket. */
#ifndef SANDBOX_WARDEN_ROOT_H
#define SANDBOX_WARDEN_ROOT_H

#include "base/err.h"

/* From now on "/" is an empty, read-only tmpfs in a mount namespace of our own, with two folders at the
 * paths that they have on the host: `dir`, as it is but without what is mounted in it, and the folder of
 * keeper_path, read-only; what of that leads to `dir` is covered, so that no other sandbox's name is
 * there. (The folder and not the socket: the next keeper binds another one.) Nothing of the host's mounts
 * is kept alive by it. Both paths are absolute. Needs CAP_SYS_ADMIN and only one thread. */
int warden_root_enter(const char *dir, const char *keeper_path, struct err *e);

#endif
