/* command.h - a command run in a sandbox: an execution like any other, but for its kernel, which it has none of. Its session is a
 * holder made for it alone: without a name, hidden, ended with it, and ready as soon as its sandbox is up. */
#ifndef KERNELHUB_COMMAND_H
#define KERNELHUB_COMMAND_H

#include "kernelhub/execution_internal.h"

#define COMMAND_LANGUAGE  "command"
#define COMMAND_MAX_BYTES (160u * 1024) /* of cmd, env and cwd: init takes packets of 176 KiB */

/* Appends the command as one would type it into a shell: what stands in the record as its code. cmd: JSON array of strings. */
void command_write_line(struct slice cmd, struct buf *out);

/* Makes the holder. in NULL: the default sandbox, which has still to be made. ERR_QUOTA when LINK_MAX_COMMANDS run there,
 * ERR_TOO_LARGE. */
int command_open(struct hub *h, struct user *u, const struct execution_request *r, struct sandbox *in, struct session **ret,
                 struct err *e);

/* What an execution keeps of it, in memory and in the store: {"argv":[…],"cwd":"/…"}; owned by the caller. */
char *command_write_order(const struct execution_request *r);

/* Of which template the default sandbox for it is. */
const char *command_template(const struct session *s);

/* Sends it to its sandbox, which is up. */
void command_transmit(struct execution *x);

/* Its sandbox is up: it may be sent, and after a restart of the hub it is found again by what the warden's hello says. */
void command_sandbox_up(struct session *s, bool known_there);

/* The holder of a row that names no session; NULL: none. */
struct session *command_find_holder(struct hub *h, int64_t feed);

#endif
