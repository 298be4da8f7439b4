/* timestamp.h - a moment as RFC 3339 writes it. */
#ifndef BASE_TIMESTAMP_H
#define BASE_TIMESTAMP_H

#include <stdint.h>

#include "base/slice.h"

/* "2027-01-31T12:00:00Z", with an optional fraction and an offset instead of Z, as microseconds
 * since 1970. */
bool timestamp_parse(struct slice text, int64_t *ret_unix_us);

#endif
