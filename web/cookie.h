/* cookie.h - the one cookie of ours: found in what a browser sends, written for what it shall keep. Source: RFC 6265. */
#ifndef WEB_COOKIE_H
#define WEB_COOKIE_H

#include <stdint.h>

#include "base/buf.h"

#define COOKIE_NAME "kernelhub"

/* Its value in a Cookie header; empty when it is not there. Of several the first: a browser sends the one with the longest
 * path first, so of two services on one host that is the nearer one's. */
struct slice cookie_find(struct slice header);

/* Appends a Set-Cookie value: for pages below `base` ("" is all), out of scripts' reach, not sent when another site's page asks.
 * seconds 0: to be forgotten now. */
void cookie_write(struct buf *out, const char *value, struct slice base, bool is_https,
                  int64_t seconds);

#endif
