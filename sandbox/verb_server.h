/* verb_server.h - keeper.sock: accepts connections, learns who they are (SO_PEERCRED), cuts frames and
 * hands decoded requests on. Bounds: 128 connections, 64 of them the hub's
 * alone; 2 for one warden; a reader that lets 4 MiB pile up is closed. */
#ifndef SANDBOX_VERB_SERVER_H
#define SANDBOX_VERB_SERVER_H

#include "base/buf.h"
#include "protocol/verb.h"
#include "sandbox/watch.h"

struct verb_server;

/* Who asks. `client` is a number that is never used again. */
struct verb_peer {
    uint64_t client;
    unsigned uid;
};

struct verb_handler {
    void *ctx;
    /* May this uid connect at all? */
    bool (*may_connect)(void *ctx, unsigned uid);
    /* Is it the hub, who hears the events? */
    bool (*is_hub)(void *ctx, unsigned uid);
    void (*on_request)(void *ctx, struct verb_peer peer, const struct verb_request *request);
};

int verb_server_new(struct watches *set, const char *path, const struct verb_handler *handler, struct verb_server **ret,
                    struct err *e);
void verb_server_free(struct verb_server *s); /* closes all, removes the socket */
DEFINE_CLEANUP(struct verb_server, verb_server_free)

/* Both do nothing when the client has left. fields as of verb_encode_ok. */
void verb_server_reply(struct verb_server *s, uint64_t client, uint64_t id, struct slice fields);
void verb_server_refuse(struct verb_server *s, uint64_t client, uint64_t id, const struct err *error);
void verb_server_tell_all(struct verb_server *s, const char *event, struct slice fields);

#endif
