/* ended.h - the sandboxes that are over and why, so that later calls which name one are told. Bounded: the newest of each user. */
#ifndef KERNELHUB_ENDED_H
#define KERNELHUB_ENDED_H

#include "base/err.h"
#include "base/uuid.h"

#define ENDED_MAX_OF_USER 256
#define ENDED_MAX         8192

struct ended;

struct ended *ended_new(void);
void ended_free(struct ended *e); /* NULL is fine */

/* Strings are copied (cut to 63 and 255 bytes). Newer ones come later. */
void ended_add(struct ended *ended, const struct uuid *id, const struct uuid *user_id, const char *name, int64_t ended_us,
               const char *reason);

/* ERR_GONE with what it was, why it ended and when, by id or else by name (the newest); ERR_NOT_FOUND when it is not known.
 * Always returns -1. */
int ended_explain(const struct ended *ended, const struct uuid *user_id, const char *id_or_name, struct err *e);

#endif
