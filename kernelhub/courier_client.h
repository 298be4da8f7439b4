/* courier_client.h - the hub's side of courier.sock. It connects when there is something to ask; the courier leaves when there is not. */
#ifndef KERNELHUB_COURIER_CLIENT_H
#define KERNELHUB_COURIER_CLIENT_H

#include "kernelhub/hub.h"
#include "protocol/errand.h"

struct courier_client;

/* e is NULL when the receiver answered; then its HTTP status, and the seconds of its Retry-After or 0. Called exactly once, also when
 * the courier ends or does not answer in time; from the loop, or from within courier_client_call. */
typedef void (*courier_done_fn)(void *arg, const struct err *e, int status, int64_t retry_after);

struct courier_client *courier_client_new(struct loop *loop, const char *socket_path);
void courier_client_free(struct courier_client *k); /* NULL is fine; nobody is told */

/* Sets a's id, copies it. */
void courier_client_call(struct courier_client *k, struct errand *a, courier_done_fn done, void *arg);

#endif
