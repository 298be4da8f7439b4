/* warden_init.h - the warden's side of init.sock: lets in the container's PID 1 and nobody else. */
#ifndef SANDBOX_WARDEN_INIT_H
#define SANDBOX_WARDEN_INIT_H

#include <czmq.h>

#include "base/cleanup.h"
#include "base/loop.h"
#include "protocol/init_wire.h"

struct warden_init;

/* Orders wait here while init does not read: at most so many, then the connection is given up. */
#define WARDEN_INIT_MAX_WAITING 256

struct warden_init_events {
    void (*on_hello)(void *owner); /* init is there: orders may be sent */
    /* Also before on_hello: STARTED for each kernel that an earlier warden started and that lives on. */
    void (*on_packet)(void *owner, const struct init_packet *p);
    void (*on_gone)(void *owner); /* it is not any more; everything it ran has ended */
    void (*after)(void *owner);   /* a batch of packets has been told */
    void *owner;
};

/* Owns `listener`, a listening SEQPACKET socket. Accepts only a peer whose pid is `pid`, and nobody
 * while that one is connected: the listener is out of the loop then. */
struct warden_init *warden_init_new(struct loop *loop, int listener, pid_t pid, const struct warden_init_events *events);
void warden_init_free(struct warden_init *in);
DEFINE_CLEANUP(struct warden_init, warden_init_free)

/* Takes `fd` (-1: none) in any case. Without a connection the order is forgotten. */
void warden_init_send(struct warden_init *in, const struct init_packet *p, int fd);
void warden_init_send_fds(struct warden_init *in, const struct init_packet *p, const int *fds, size_t n); /* at most INIT_MAX_FDS */
bool warden_init_is_there(const struct warden_init *in);
bool warden_init_can(const struct warden_init *in, enum init_can what); /* it is there and said so */

/* Hangs up; on_gone is called. */
void warden_init_drop(struct warden_init *in, const char *why);

#endif
