/* callback_url.h - whether a stranger's URL may be called, as far as it can be seen by looking at it. Pure. */
#ifndef KERNELHUB_CALLBACK_URL_H
#define KERNELHUB_CALLBACK_URL_H

#include "base/network.h"

/* ERR_INVALID: no http or https URL, too long, with credentials or a fragment; ERR_POLICY: its host is an address that the policy
 * refuses. What a name means is seen when it is called, by the courier. */
int callback_url_check(struct slice url, const struct network_policy *policy, struct err *e);

/* The part that may be shown: a query may hold secrets. */
struct slice callback_url_shown(struct slice url);

#endif
