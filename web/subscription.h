/* subscription.h - what one WebSocket follows: executions and sessions, each event once, in order, in turn, as fast as the
 * client reads. */
#ifndef WEB_SUBSCRIPTION_H
#define WEB_SUBSCRIPTION_H

#include "base/uuid.h"
#include "web/site.h"

struct request;
struct subscription;
struct subscriptions; /* of one socket */
struct websocket;

struct subscriptions *subscriptions_new(struct websocket *socket, struct request *r);
void subscriptions_free(struct subscriptions *all); /* NULL is fine */
size_t subscriptions_count(const struct subscriptions *all);

/* The one of that session, or, when session is NULL, of that execution. NULL: none. */
struct subscription *subscription_find(struct subscriptions *all, const struct uuid *execution_id, const char *session);

/* Events from `after` + 1 on; ends by itself after `finished`. `op_id` is JSON: who asked. When it ends without a `finished`, the
 * client is sent {"type":"detached","id":op_id,"execution_id" or "session",…,"error":{…} or null}. */
struct subscription *subscription_of_execution(struct subscriptions *all, const char *op_id, const struct uuid *id,
                                               uint64_t after, bool interrupt_on_disconnect);
struct subscription *subscription_of_session(struct subscriptions *all, const char *op_id, const char *session, uint64_t after);
void subscription_end(struct subscription *s);

/* Sends while the socket has room. */
void subscriptions_give(struct subscriptions *all);

/* Takes out one of an execution that is to be interrupted because its client has left. False: no more of them. */
bool subscriptions_take_interrupted(struct subscriptions *all, struct uuid *ret_execution_id);

/* Appends "execution_id":… or "session":…. */
void subscription_write_target(const struct subscription *s, struct buf *out);

#endif
