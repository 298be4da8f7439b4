/* server.h - the HTTP server: accepts clients and answers them, in the hub's loop. */
#ifndef WEB_SERVER_H
#define WEB_SERVER_H

#include <stdint.h>

#include "base/err.h"

struct hub;
struct server;

/* Binds server/address and server/port of hub_config(hub) (port 0: any, see server_port) and serves
 * from hub_loop(hub). The hub outlives the server. */
int server_new(struct hub *hub, struct server **ret, struct err *e)
    __attribute__((warn_unused_result));
uint16_t server_port(const struct server *s);

/* Accepts no more; streams get an orderly end, waiting requests a 503. What is on its way out still
 * goes while the loop runs. */
void server_drain(struct server *s);
void server_free(struct server *s); /* NULL is fine; cuts what is left */

#endif
