/* stored.h - to be told when all that was written so far is committed. */
#ifndef KERNELHUB_STORED_H
#define KERNELHUB_STORED_H

#include "kernelhub/hub.h"

#define STORED_LIMIT_MS 5000

/* For a change that is in memory already and whose reply is a promise: a key that is shown, or revoked, must stay so when the hub
 * dies. ERR_UNAVAILABLE after STORED_LIMIT_MS. NULL: it was answered at once. */
struct wait *hub_when_stored(struct hub *h, reply_fn done, void *arg);

#endif
