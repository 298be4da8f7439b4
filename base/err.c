#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/cleanup.h"

static const struct {
    const char *name;
    int http;
} TABLE[ERR_N_CODES] = {
    [ERR_NONE] = { "none", 200 },
    [ERR_INVALID] = { "invalid_request", 400 },
    [ERR_UNAUTHORIZED] = { "unauthorized", 401 },
    [ERR_FORBIDDEN] = { "forbidden", 403 },
    [ERR_POLICY] = { "policy_denied", 403 },
    [ERR_NOT_FOUND] = { "not_found", 404 },
    [ERR_METHOD] = { "method_not_allowed", 405 },
    [ERR_CONFLICT] = { "conflict", 409 },
    [ERR_BUSY] = { "busy", 409 },
    [ERR_GONE] = { "gone", 410 },
    [ERR_PRECONDITION] = { "precondition_failed", 412 },
    [ERR_TOO_LARGE] = { "too_large", 413 },
    [ERR_MEDIA_TYPE] = { "unsupported_media_type", 415 },
    [ERR_RANGE] = { "range_not_satisfiable", 416 },
    [ERR_RATE] = { "rate_limited", 429 },
    [ERR_QUOTA] = { "quota_exceeded", 429 },
    [ERR_INTERNAL] = { "internal", 500 },
    [ERR_SANDBOX] = { "sandbox_failed", 502 },
    [ERR_KERNEL_DIED] = { "kernel_died", 502 },
    [ERR_UNAVAILABLE] = { "unavailable", 503 },
    [ERR_TIMEOUT] = { "timeout", 504 },
};

/* Returns what vsnprintf does; cut is fine: it is for reading. */
static int set(struct err *e, enum err_code code, const char *rule, const char *format,
               va_list args)
{
    e->code = code;
    e->rule = rule;
    return vsnprintf(e->text, sizeof e->text, format, args);
}

int err_set(struct err *e, enum err_code code, const char *format, ...)
{
    if (!e)
        return -1;
    va_list args;
    va_start(args, format);
    (void)set(e, code, NULL, format, args);
    va_end(args);
    return -1;
}

int err_policy(struct err *e, const char *rule, const char *format, ...)
{
    if (!e)
        return -1;
    va_list args;
    va_start(args, format);
    (void)set(e, ERR_POLICY, rule, format, args);
    va_end(args);
    return -1;
}

int err_errno(struct err *e, enum err_code code, const char *format, ...)
{
    int saved = errno;
    if (!e)
        return -1;
    va_list args;
    va_start(args, format);
    int n = set(e, code, NULL, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof e->text)
        (void)snprintf(e->text + n, sizeof e->text - (size_t)n, ": %s", strerror(saved));
    return -1;
}

int err_in(struct err *e, const char *doing)
{
    if (!e)
        return -1;
    char old[sizeof e->text];
    memcpy(old, e->text, sizeof old);
    (void)snprintf(e->text, sizeof e->text, "%s: %.400s", doing, old);
    return -1;
}

const char *err_name(enum err_code code)
{
    return code < ERR_N_CODES ? TABLE[code].name : "internal";
}

int err_http(enum err_code code)
{
    return code < ERR_N_CODES ? TABLE[code].http : 500;
}

enum err_code err_from_name(struct slice name)
{
    for (int i = 1; i < ERR_N_CODES; i++)
        if (slice_is(name, TABLE[i].name))
            return (enum err_code)i;
    return ERR_INTERNAL;
}
