/* run.h - an execution that a request asked for. It outlives the request when the client leaves
 * with on_disconnect "interrupt" before the hub has said under which id it was accepted. */
#ifndef WEB_RUN_H
#define WEB_RUN_H

#include "kernelhub/execution.h"

struct request;
struct site;

enum run_form { RUN_WAIT, RUN_SSE, RUN_NDJSON, RUN_ASYNC };

enum run_form run_form(const char *accept); /* by the header, which may be NULL; never RUN_ASYNC */
const char *run_client(enum run_form form); /* execution_request's */

/* Submits and, sooner or later, decides the request's reply. */
void run_start(struct request *r, const struct execution_request *wanted, enum run_form form);

/* Frees what is still there of a site's runs: the server ends. */
void run_free_all(struct site *site);

#endif
