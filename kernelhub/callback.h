/* callback.h - calls to who wants to know that an execution has ended: signed, at least once, tried again for a day.
 *
 * An execution_request with a callback_url is accepted together with its callback, in one commit. When the execution has ended, in
 * whatever way, its record is POSTed there as Standard Webhooks says (webhook-id, webhook-timestamp, webhook-signature); the id is the
 * same on every try. 2xx is success; 410 and other 4xx but 408, 425 and 429, and a forbidden address, are final; all else is
 * tried again, later and later. One user has at most 4 calls under way: a slow receiver of one holds up no other's. */
#ifndef KERNELHUB_CALLBACK_H
#define KERNELHUB_CALLBACK_H

#include "kernelhub/user.h"

/* {"secret":"whsec_…"}: what this user's calls are signed with. */
void callback_write_secret(const struct hub *h, const struct user *u, struct buf *out);
/* Another one, at once and for good. */
void callback_renew_secret(struct hub *h, struct user *u);

#endif
