/* router.h - finds the one line of the route table that a method and a path mean. */
#ifndef WEB_ROUTER_H
#define WEB_ROUTER_H

#include <stdint.h>

#include "base/buf.h"

struct request;

enum route_flag {
    ROUTE_OPEN = 1,    /* needs no token */
    ROUTE_ADMIN = 2,   /* only for admins */
    ROUTE_METRICS = 4, /* a token as server/metrics_token says */
    ROUTE_HIDDEN = 8,  /* not part of the API: not in docs/openapi.json */
    ROUTE_BODY =
        16, /* takes a JSON body up to server/max_body_bytes; without it a body may only be {} */
    ROUTE_UPGRADE = 32, /* a WebSocket: the handler takes the connection over; no HEAD */
    ROUTE_JUPYTER = 128, /* of the Jupyter Server API: any query, and its own errors (request_is_jupyter) */
    ROUTE_LARGE = 256,   /* with ROUTE_BODY: up to ROUTER_LARGE_BYTES; a few at a time */
    ROUTE_PIECES = 512,  /* with ROUTE_BODY: the handler runs before the body, and may take that piece by piece (request_take_body);
                            when it neither does nor replies, the body is collected and it runs again */
    ROUTE_STORED = 64,  /* its reply is sent when all that it wrote is committed; its 503 does not mean that
                           nothing was done */
};

struct route {
    const char *method;
    const char
        *pattern; /* "/sessions/{name}"; a part in braces is one whole, non-empty path segment;
                     "/files/{path...}": all that is there, nothing too, and patterns may go on behind it */
    unsigned flags;
    const char *query; /* names of allowed parameters, separated by blanks */
    void (*handle)(struct request *r);
};

#define ROUTER_MAX_PARTS  2
#define ROUTER_PART_BYTES 256

#define ROUTER_LARGE_BYTES (64u * 1024 * 1024)
#define ROUTER_MCP_BYTES   (16u * 1024 * 1024) /* the same for MCP: a file of 10 MiB in base64 */

struct route_match {
    const struct route *route;
    char part[ROUTER_MAX_PARTS][ROUTER_PART_BYTES]; /* what stood for the braces, decoded */
    struct slice rest; /* for "{path...}", as it came: a slice of the path, without the slash before it */
};

enum route_found { ROUTE_FOUND, ROUTE_NOT_FOUND, ROUTE_WRONG_METHOD, ROUTE_BAD_PATH };

/* `path` is raw (not decoded), begins with a slash, without query. HEAD finds GET. ROUTE_BAD_PATH:
 * a bad escape, NUL, broken UTF-8 or a part above ROUTER_PART_BYTES - 1 in a path that else fits.
 */
enum route_found router_find(const struct route *table, size_t n, const char *method,
                             struct slice path, struct route_match *ret);

/* Appends "GET, HEAD, POST": what is allowed at that path. Nothing when there is no such path. */
void router_allow(const struct route *table, size_t n, struct slice path, struct buf *out);

#endif
