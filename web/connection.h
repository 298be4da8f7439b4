/* connection.h - one client's socket, as long as it is open. */
#ifndef WEB_CONNECTION_H
#define WEB_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

struct request;
struct server;

struct connection {
    struct server *server;
    struct request *request; /* the one under way, or NULL */
    int fd;                  /* libmicrohttpd's */
    bool is_local;           /* the peer is this machine */
    bool peer_has_left; /* it closed its side: it sends no more, and we take it that it does not
                           listen either */
    int64_t since_ms;   /* when it was accepted, or its last request ended */
    void *place;        /* in the server's list */
};

/* libmicrohttpd gets a run in the loop's next turn: one, however often this is called until then.
 */
void connection_run_soon(struct connection *c);

#endif
