/* link_client.h - the hub's end of one warden's link: frames in and out, and what may be acknowledged. */
#ifndef KERNELHUB_LINK_CLIENT_H
#define KERNELHUB_LINK_CLIENT_H

#include "kernelhub/hub_internal.h"
#include "protocol/link.h"

struct link_client;

struct link_handler {
    void (*on_frame)(void *arg, const struct link_frame *f); /* HELLO first, once; numbered frames once each, in order */
    /* The link is gone; free it or connect again. broke_rules: the warden sent what no warden sends. */
    void (*on_closed)(void *arg, const char *why, bool broke_rules);
    void *arg;
};

struct link_client *link_client_new(struct hub *h, struct link_handler handler);
void link_client_free(struct link_client *l); /* NULL is fine; not from inside on_frame */

/* Connects and says hello: everything above the highest committed number of warden epoch `epoch` ("" for none) is wanted. May be
 * called again after on_closed: numbers go on. */
int link_client_connect(struct link_client *l, const char *path, const char *epoch, struct err *e);
void link_client_close(struct link_client *l);
bool link_client_is_open(const struct link_client *l);

/* Queues a frame (copied). When more than 64 MiB wait the link is closed: the warden does not read. */
void link_client_send(struct link_client *l, const struct link_frame *f);

/* Something came since this was asked last. */
bool link_client_heard(struct link_client *l);

/* The warden counts anew: it is another one. Marks of before mean nothing any more, do not give them back. */
void link_client_new_epoch(struct link_client *l);

/* Before the first frame: everything up to `number` is dealt with already. */
void link_client_set_seen(struct link_client *l, uint64_t number);
uint64_t link_client_seen(const struct link_client *l);

/* The number of the frame that on_frame handles now, to be marked by the last write to the store that it causes;
 * every mark taken must come back by link_client_committed. */
uint64_t link_client_take_mark(struct link_client *l);
void link_client_committed(struct link_client *l, uint64_t number);

/* From inside on_frame: the frames behind this one wait, also over a new connection, until resume (which may handle some of
 * them at once). For a frame whose write has to wait: what comes behind it must not be committed before it. */
void link_client_pause(struct link_client *l);
void link_client_resume(struct link_client *l);

/* All links share one epoll fd in the loop. */
int link_clients_open(struct hub *h, struct err *e);
void link_clients_close(struct hub *h);

#endif
