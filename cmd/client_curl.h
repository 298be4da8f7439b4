/* client_curl.h - for commands that drive curl themselves: requests to our service, with our key. */
#ifndef CMD_CLIENT_CURL_H
#define CMD_CLIENT_CURL_H

#include <curl/curl.h>

#include "base/err.h"

struct
    client; /* cmd/client.h, which not everybody may include: jansson's names are those of base/json.h */

/* Aims `curl` at a path of the service and appends the key to *headers, which the caller gives to curl and frees. It gives up when nothing
 * comes for silent_seconds. */
int client_aim(const struct client *c, CURL *curl, const char *path, long silent_seconds,
               struct curl_slist **headers, struct err *e);

/* Sets e to what a reply with that status says: {"error":{"code","message","hint"}}. Returns -1. */
int client_api_error(const struct client *c, struct slice reply, long status, struct err *e);

#endif
