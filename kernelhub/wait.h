/* wait.h - somebody outside who waits for one answer, and may stop waiting. */
#ifndef KERNELHUB_WAIT_H
#define KERNELHUB_WAIT_H

#include "kernelhub/hub.h"
#include "kernelhub/store.h"

/* In `list` (a zlistx_t made by wait_list_new, or NULL) until it is answered or cancelled. */
struct wait *wait_new(zlistx_t *list, reply_fn done, void *arg);
/* Not in a list but in one place, which is set to NULL when the wait is answered or cancelled. */
struct wait *wait_new_owned(struct wait **place, reply_fn done, void *arg);
/* A query with memory of its own (from malloc), freed when the wait is cancelled before the query is done. */
void wait_set_ticket(struct wait *w, struct store_query *query, void *ticket);
void wait_set_query(struct wait *w, struct store_query *query); /* cancelled together with the wait */
void wait_leave(struct wait *w); /* out of its list; it must still be answered */
void wait_answer(struct wait *w, const struct err *e, struct slice json); /* calls done once and frees w */
void wait_fail(struct wait *w, enum err_code code, const char *text);

zlistx_t *wait_list_new(void);
void wait_list_answer(zlistx_t *list, const struct err *e, struct slice json); /* all of them, in order */
void wait_list_free(zlistx_t **list);                                          /* answers with unavailable */

#endif
