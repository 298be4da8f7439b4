/* bridge.h - an MCP client that speaks in lines, and the service that speaks MCP over HTTP: what stands between the two.
 *
 *     a line ─► message ─► call ─► POST /mcp ─► a reply, or a stream of them ─► lines
 *
 * It keeps nothing of what the client does but the session's handshake. */
#ifndef CMD_BRIDGE_H
#define CMD_BRIDGE_H

#include "base/err.h"

struct client;

struct bridge_settings {
    const struct client *client;
    const char *url;   /* the client's, for messages */
    int in_fd, out_fd; /* polled; nobody else may write to out_fd */
    int signal_fd;     /* readable: end now */
};

/* Till in_fd ends, the client reads no more, or a signal comes; what runs then is cancelled. */
int bridge_run(const struct bridge_settings *s, struct err *e);

#endif
