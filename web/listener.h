/* listener.h - the socket that clients connect to. */
#ifndef WEB_LISTENER_H
#define WEB_LISTENER_H

#include <stdint.h>

#include "base/err.h"

/* Binds and listens on address (a numeric one, or localhost) and port (0: any). Returns the
 * non-blocking descriptor, or -1. */
int listener_open(const char *address, uint16_t port, uint16_t *ret_port, struct err *e);

#endif
