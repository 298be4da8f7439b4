/* warden_keeper.h - the warden's one wish to the keeper: kill my container. */
#ifndef SANDBOX_WARDEN_KEEPER_H
#define SANDBOX_WARDEN_KEEPER_H

#include <czmq.h>

#include "base/cleanup.h"
#include "base/loop.h"

struct warden_keeper;

#define WARDEN_KEEPER_AGAIN_MS 2000 /* from one try to the next, until the keeper has answered */

struct warden_keeper *warden_keeper_new(struct loop *loop, const char *socket_path);
void warden_keeper_free(struct warden_keeper *k);
DEFINE_CLEANUP(struct warden_keeper, warden_keeper_free)

/* Asks until the keeper says yes; asking twice is asking once. */
void warden_keeper_ask_kill(struct warden_keeper *k);

#endif
