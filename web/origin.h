/* origin.h - whether a request means us: Host against DNS rebinding, Origin against other sites'
 * pages; and whether a path is ours. */
#ifndef WEB_ORIGIN_H
#define WEB_ORIGIN_H

#include "base/slice.h"

/* 127.0.0.0/8, ::1 (with or without brackets), localhost. */
bool origin_is_loopback(const char *address);

/* A Host header that names this machine's loopback or `address`, with any port. */
bool origin_host_allowed(const char *host, const char *address);

/* An Origin header whose host and port are those of the Host header. */
bool origin_is_own(const char *origin, const char *host);

/* Whether a browser may be sent to `path`, which a stranger chose: a path (and query) below `base`, where the service is shown
 * ("" or "/hub/k"), that no browser takes for another host's and that fits into a header. */
bool origin_path_is_own(const char *path, struct slice base);

#endif
