/* warden_confine.h - what the warden gives up before it reads the first byte of a stranger. */
#ifndef SANDBOX_WARDEN_CONFINE_H
#define SANDBOX_WARDEN_CONFINE_H

#include "base/err.h"
#include "sandbox/spool.h"

/* Network and IPC namespaces of its own. Takes a millisecond, so it is done while nobody waits yet. */
int warden_leave_network(struct err *e);

/* A mount namespace of its own, user and group, the file system but `dir` and the way to the
 * keeper (warden_root.h), memory, descriptors, and all system calls but the ones a relay needs: no exec, no
 * fork, no thread, no open, no socket but Unix ones.
 * Starts ZeroMQ's threads and the spool's (NULL: none) on the way, because no thread can be started afterwards. */
int warden_confine(const char *dir, const char *keeper_path, unsigned uid, unsigned gid, struct spool *spool,
                   struct err *e);

#endif
