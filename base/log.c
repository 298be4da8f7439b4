#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

/* The one mutable global of the program (STYLE 12). */
static const char *log_role = "kernelhub";
static enum log_level log_level = LOG_LEVEL_INFO;

static const char *const NAMES[] = { "error", "warning", "info", "debug" };

void log_open(const char *role, enum log_level level)
{
    log_role = role;
    log_level = level;
}

void log_set_level(enum log_level level)
{
    log_level = level;
}

bool log_parse_level(struct slice name, enum log_level *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        if (slice_is(name, NAMES[i])) {
            *ret = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static void write_line(enum log_level level, const char *format, va_list args)
{
    if (level > log_level)
        return;
    char line[2048];
    struct timeval now;
    struct tm tm;
    gettimeofday(&now, NULL);
    gmtime_r(&now.tv_sec, &tm);
    size_t n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(line + n, sizeof line - n, ".%03ldZ %s %s[%d] ", (long)now.tv_usec / 1000,
                          NAMES[level], log_role, (int)getpid());
    int m = vsnprintf(line + n, sizeof line - n - 1, format, args);
    if (m > 0)
        n += (size_t)m < sizeof line - n - 1 ? (size_t)m : sizeof line - n - 2;
    line[n++] = '\n';
    (void)!write(STDERR_FILENO, line, n); /* nowhere to complain */
}

#define DEFINE_LOG(name, level)                                                                    \
    void name(const char *format, ...)                                                             \
    {                                                                                              \
        va_list args;                                                                              \
        va_start(args, format);                                                                    \
        write_line(level, format, args);                                                           \
        va_end(args);                                                                              \
    }

DEFINE_LOG(log_error, LOG_LEVEL_ERROR)
DEFINE_LOG(log_warning, LOG_LEVEL_WARNING)
DEFINE_LOG(log_info, LOG_LEVEL_INFO)
DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG)

const char *log_quote(struct slice s)
{
    static _Thread_local char ring[4][900];
    static _Thread_local unsigned next;
    char *out = ring[next++ % 4];
    size_t n = 0;
    out[n++] = '"';
    for (size_t i = 0; i < s.len && i < 200; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
            n += (size_t)sprintf(out + n, "\\x%02x", c);
        else
            out[n++] = (char)c;
    }
    out[n++] = '"';
    out[n] = '\0';
    return out;
}
