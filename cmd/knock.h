/* knock.h - a socket at which somebody may knock before the role that answers there has been started. */
#ifndef CMD_KNOCK_H
#define CMD_KNOCK_H

#include "base/err.h"

/* Listens at the path, which only this user may open. An older socket there is replaced. */
int knock_listen(const char *path, unsigned uid, unsigned gid, int *ret_fd, struct err *e);
void knock_close(const char *path, int fd); /* removes the path; fd may be -1 */

#endif
