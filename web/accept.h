/* accept.h - the form a client wants events in, from its Accept header (RFC 9110, 12.5.1). */
#ifndef WEB_ACCEPT_H
#define WEB_ACCEPT_H

#include <stdbool.h>

enum form { FORM_JSON, FORM_SSE, FORM_NDJSON };

/* The wanted form with the highest q, of equals the first; JSON when none is named. `accept` may be
 * NULL. */
enum form accept_form(const char *accept);

/* Whether it names application/json, and not text/plain before it. */
bool accept_is_json(const char *accept);

const char *form_media_type(enum form form);

#endif
