/* hub_confine.h - what the hub, which faces the network, may still do: its own files and sockets.
 */
#ifndef CMD_HUB_CONFINE_H
#define CMD_HUB_CONFINE_H

#include "cmd/folders.h"

/* Becomes the hub's user for good, then narrows. To be called before the first thread: landlock and
 * seccomp reach only the calling thread and those it makes later. A kernel without landlock is
 * refused unless keeper/allow_weak. Builds with a sanitizer keep their user but are not narrowed
 * further: at the end the sanitizer itself needs ptrace. */
int hub_confine(const struct config *c, const struct folders_user *user, struct err *e);

#endif
