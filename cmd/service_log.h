/* service_log.h - the log file of a service in the background: state/kernelhub.log, two files of
 * bounded size. */
#ifndef CMD_SERVICE_LOG_H
#define CMD_SERVICE_LOG_H

#include "base/err.h"

#define SERVICE_LOG_MAX_BYTES (16 << 20)

/* From now on stdout and stderr, also those of children, go to the end of `path`; stdin is empty.
 */
int service_log_begin(const char *path, struct err *e);

/* When it has grown beyond the bound: moves what is there to path.1 and goes on at the beginning.
 * All who write to it do so with O_APPEND, so they need not know. */
void service_log_bound(const char *path);

#endif
