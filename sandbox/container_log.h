/* container_log.h - reads what conmon writes of a container's output with the driver k8s-file: lines
 * "TIME stdout|stderr F|P TEXT"; F ends with the newline that was there, P goes on in the next one. */
#ifndef SANDBOX_CONTAINER_LOG_H
#define SANDBOX_CONTAINER_LOG_H

#include "base/buf.h"

enum container_log_stream { CONTAINER_LOG_STDOUT = 1, CONTAINER_LOG_STDERR = 2, CONTAINER_LOG_ALL = 3 };

/* Appends the bytes of the wanted streams to `out`. Lines that are no such line are left out, as is
 * an unfinished last one. The text is the container's: any bytes. */
void container_log_decode(struct slice file, enum container_log_stream which, struct buf *out);

/* The end of `text` on one line, everything that is not printable ASCII made a space. */
void container_log_tail(struct slice text, char *ret, size_t size);

#endif
