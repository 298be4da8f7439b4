/* stop.h - to stop an execution: what an answer to that promises, and how to do it for nobody. */
#ifndef WEB_STOP_H
#define WEB_STOP_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/uuid.h"

struct site;
struct user;

/* Whether the answer of execution_interrupt or execution_cancel, {"status",…}, says that it has ended. That is a promise, to be
 * said once the store has it (stored.h). That a signal was sent to what runs is none. */
bool stop_is_end(struct slice json);

/* Interrupts it, or cancels it while it waits, and waits for no answer: its client has gone. */
void stop_unwatched(const struct site *site, const struct user *user, const struct uuid *id);

#endif
