/* run_table.h - the executions of one warden epoch, running and remembered: so that none runs twice and late
 * output finds its execution. */
#ifndef SANDBOX_RUN_TABLE_H
#define SANDBOX_RUN_TABLE_H

#include "base/cleanup.h"
#include "sandbox/run.h"

struct run_table;

/* Remembers at least `remember` ended executions, longer while their end is not acknowledged, and never
 * holds more than `max` in all: then new ones are refused. */
struct run_table *run_table_new(size_t remember, size_t max);
void run_table_free(struct run_table *t);
DEFINE_CLEANUP(struct run_table, run_table_free)

/* NULL when the table is full. `generation` names one start of one kernel, so that message ids of an
 * earlier process mean nothing. The ids must not be in the table. */
struct run *run_table_add(struct run_table *t, const struct uuid *execution_id, uint64_t generation,
                          const char *msg_id);
struct run *run_table_find(struct run_table *t, const struct uuid *execution_id);
struct run *run_table_find_message(struct run_table *t, uint64_t generation, const char *msg_id);

void run_table_remove(struct run_table *t, struct run *r); /* it was never sent: forgets and frees it */

/* It is over; its END has this link number. `acked`: the highest committed number. May free the oldest runs. */
void run_table_ended(struct run_table *t, struct run *r, uint64_t end_number, uint64_t acked);

/* Walks all: first, then next until NULL. */
struct run *run_table_first(struct run_table *t);
struct run *run_table_next(struct run_table *t);

#endif
