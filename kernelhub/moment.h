/* moment.h - a time as a member of an object that clients read. */
#ifndef KERNELHUB_MOMENT_H
#define KERNELHUB_MOMENT_H

#include <stdint.h>

#include "base/buf.h"

/* Appends ,"name":"2026-11-21T10:00:00.123456Z", or null for 0. */
void moment_write(struct buf *out, const char *name, int64_t unix_us);

#endif
