/* callback_internal.h - callbacks from inside the hub. */
#ifndef KERNELHUB_CALLBACK_INTERNAL_H
#define KERNELHUB_CALLBACK_INTERNAL_H

#include "kernelhub/callback.h"
#include "kernelhub/hub_internal.h"

#define CALLBACK_MAX_OPEN 1000 /* of a user, those whose execution has not ended included */

struct callback;
struct callbacks;

/* Reads courier/allow, and what is not delivered yet from the store: after recover(), before the loop runs. */
int callbacks_new(struct hub *h, struct callbacks **ret, struct err *e);
void callbacks_free(struct callbacks *c); /* NULL is fine; while the store is still open */
void callbacks_write_metrics(const struct callbacks *c, struct buf *out);

/* Whether this user may have this URL called. */
int callback_check(const struct hub *h, const struct user *u, const char *url, struct err *e);

/* Writes it to the store, behind the insert of its execution (hold the store). Then it is the caller's until callback_begin or
 * callback_drop. */
struct callback *callback_new(struct hub *h, struct user *u, int64_t feed, const struct uuid *execution_id, const char *url);
void callback_begin(struct callback *k); /* the execution was accepted: wait for its end */
void callback_drop(struct callback *k);  /* it was not, nothing was written; NULL is fine */

/* The execution has ended and that is committed. Nothing happens when it has no callback. */
void callback_execution_ended(struct hub *h, int64_t feed);

#endif
