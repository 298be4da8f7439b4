/* batch.h - several executions that one request asked for: one after the other, each an execution of its own.
 *
 * What was not begun when an item ended otherwise than ok, or when the client left, is never begun; it has no execution. */
#ifndef WEB_BATCH_H
#define WEB_BATCH_H

#include "web/accept.h"

struct request;
struct site;

/* Reads the request's body, submits one item after the other and, sooner or later, decides the request's reply. */
void batch_start(struct request *r, enum form form);

/* Frees what is still there of a site's batches: the server ends. */
void batch_free_all(struct site *site);

#endif
