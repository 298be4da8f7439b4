/* ws_upgrade.h - whether a request may become a WebSocket. */
#ifndef WEB_WS_UPGRADE_H
#define WEB_WS_UPGRADE_H

#include <stdbool.h>

struct request;

/* Checks the handshake (RFC 6455, 4.2.1) and whose page asks. False: the reply is decided. *ret_key: of the request, for
 * ws_handshake_accept. */
bool ws_upgrade_check(struct request *r, const char **ret_key);

#endif
