/* keeper_client.h - the hub's side of keeper.sock: asks, and asks again when the keeper was away. */
#ifndef KERNELHUB_KEEPER_CLIENT_H
#define KERNELHUB_KEEPER_CLIENT_H

#include "kernelhub/hub.h"
#include "protocol/verb.h"

struct keeper_client;

/* Reply to one request; e is NULL when it is ok. Called exactly once, unless the client is freed before. A keeper that goes away in between is no error: verbs are
 * idempotent, the request is sent again to the next one. */
typedef void (*keeper_reply_fn)(void *arg, const struct err *e, struct slice body);

struct keeper_events {
    void (*on_connected)(void *arg); /* hello is done; also each time after the keeper came back */
    void (*on_new_boot)(void *arg);  /* before on_connected: the host was started anew, nothing of before runs any more */
    void (*on_event)(void *arg, const char *event, struct slice body);
    void *arg;
};

struct keeper_client *keeper_client_new(struct loop *loop, const char *socket_path, struct keeper_events events);
void keeper_client_free(struct keeper_client *k);
/* A verb that the keeper is too old for: ERR_UNAVAILABLE, and what to do. */
bool keeper_client_connected(const struct keeper_client *k);

/* Sends r (its id is set here), now or when the keeper is there. After timeout_ms: ERR_TIMEOUT. */
void keeper_client_ask(struct keeper_client *k, struct verb_request *r, int timeout_ms, keeper_reply_fn done, void *arg);
/* The same; arg is from malloc and done's to free, or the client's when it is freed before there is a reply. */
void keeper_client_ask_owning(struct keeper_client *k, struct verb_request *r, int timeout_ms, keeper_reply_fn done, void *arg);

#endif
