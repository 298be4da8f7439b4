/* delivery.h - one errand on its way: a POST to an address that a stranger chose.
 *
 * http and https only; no redirect is followed, no proxy is used, no connection is used twice; the address is looked at when the
 * socket is made for it, so a name that changes its meaning gains nothing. Of the answer only the status is kept. */
#ifndef COURIER_DELIVERY_H
#define COURIER_DELIVERY_H

#include <curl/curl.h>

#include "base/network.h"
#include "protocol/errand.h"

struct delivery;

struct delivery_settings {
    struct network_policy policy;
    const char *ca_file; /* "": the system's */
};

/* Adds it to the multi handle. The settings stay where they are until it is freed; the errand is copied. */
int delivery_start(CURLM *multi, const struct delivery_settings *settings, const struct errand *errand,
                   struct delivery **ret, struct err *e);
void delivery_free(struct delivery *d); /* NULL is fine; breaks it off when it has not ended */

struct delivery *delivery_of(CURL *easy); /* what curl_multi_info_read names */
/* How it ended: 0 and what the receiver said, or -1 when it said nothing. */
int delivery_result(const struct delivery *d, CURLcode code, long *ret_status, long *ret_retry_after, struct err *e);

#endif
