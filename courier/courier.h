/* courier.h - the role that calls strangers' addresses for the hub: it reads errands from a socket and answers how they went.
 *
 * It knows nothing, keeps nothing and opens nothing but connections to the outside. The supervisor holds the listening socket and
 * starts it when somebody knocks; without work it ends after a minute. */
#ifndef COURIER_COURIER_H
#define COURIER_COURIER_H

#include "courier/delivery.h"

struct courier_options {
    int listen_fd;     /* of courier.sock, bound and listening */
    unsigned hub_uid;  /* nobody else is listened to */
    int idle_ms;       /* without work for so long: it ends */
    struct delivery_settings delivery;
};

/* To be called once, before the process gives up its rights: reads what DNS and TLS need at their first use. */
int courier_prepare(struct err *e);

/* Runs until it was idle for long enough (0), or cannot go on (-1). */
int courier_run(const struct courier_options *o, struct err *e);

#endif
