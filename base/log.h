/* log.h - one line, one fact, key=value, to stderr. Never code, output, tokens or keys. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/slice.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* role is put in every line ("hub", "keeper", …); a string constant. */
void log_open(const char *role, enum log_level level);
void log_set_level(enum log_level level);
bool log_parse_level(struct slice name, enum log_level *ret); /* error, warning, info, debug */

/* error: someone must act. warning: we coped. info: a life event. Strangers' strings go through
 * log_quote. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The string in quotes with control and non-ASCII bytes escaped, cut at 200 characters. Valid until
 * the fourth next call in this thread. */
const char *log_quote(struct slice s);

#endif
