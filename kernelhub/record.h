/* record.h - folds the events of an execution into the reply of POST /execute (API.md). Pure: no store, no clock. */
#ifndef KERNELHUB_RECORD_H
#define KERNELHUB_RECORD_H

#include "base/buf.h"
#include "kernelhub/store.h"

struct record;

struct record *record_new(size_t max_text_bytes); /* bound on stdout + stderr + results kept; beyond: truncated is true */
void record_free(struct record *r);

/* Adds one event record (a line), in order. stdout/stderr are joined; displays and the result become `results` in order;
 * updates by display_id replace in place; clear_output (wait: at the next output) empties stdout, stderr and results as a
 * notebook's cell would; error, files_changed, gap (→ truncated) and finished fill their fields. */
void record_add(struct record *r, struct slice line);

/* Appends the JSON object of API.md: row gives what events do not hold. full: with code, user, client, created_at, started_at,
 * finished_at, replay_of (GET /executions/{id}); user_name may be NULL. events_url included. Works for running executions too. */
void record_write(const struct record *r, const struct execution_row *row, const char *user_name, bool full, struct buf *out);

/* Appends an item of the history: what record_write with `full` says, without outputs, from the row alone. `error`: JSON
 * {"name","value"}, or empty. */
void record_write_item(const struct execution_row *row, const char *user_name, struct slice error, struct buf *out);

#endif
