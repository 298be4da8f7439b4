/* head.h - the header fields of one request that we look at. */
#ifndef WEB_HEAD_H
#define WEB_HEAD_H

#include <stdbool.h>

struct MHD_Connection;

/* Each is NULL when it is not there. They point into libmicrohttpd's memory, good for the whole
 * request. */
struct head {
    const char *authorization, *api_key;
    const char *host, *origin;
    const char *accept, *last_event_id, *range, *if_range, *if_match, *if_none_match;
    const char *content_length, *transfer_encoding, *expect;
    const char *cookie, *content_type, *content_encoding, *content_range;
    const char *fetch_site, *fetch_mode;     /* Sec-Fetch-…: what a browser says of who asks */
    const char *forwarded, *x_forwarded_for; /* somebody stands between us and the client */
    const char *x_forwarded_proto;
    const char *mcp_version, *mcp_session, *mcp_method, *mcp_name;
    const char *twice; /* name of a field that may be there once only, and is not */
};

void head_read(struct head *h, struct MHD_Connection *mhd);

/* The body is said to be of that media type; its parameters are of no interest. */
bool head_content_is(const struct head *h, const char *type);

#endif
