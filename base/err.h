/* err.h - what went wrong, as one line on the caller's stack, with a code of API.md ("Errors"). */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/slice.h"

/* The codes of API.md, in its order; err.c holds the one table that maps them to names and HTTP. */
enum err_code {
    ERR_NONE,
    ERR_INVALID,
    ERR_UNAUTHORIZED,
    ERR_FORBIDDEN,
    ERR_POLICY,
    ERR_NOT_FOUND,
    ERR_METHOD,
    ERR_CONFLICT,
    ERR_BUSY,
    ERR_GONE,
    ERR_PRECONDITION,
    ERR_TOO_LARGE,
    ERR_MEDIA_TYPE,
    ERR_RANGE,
    ERR_RATE,
    ERR_QUOTA,
    ERR_INTERNAL,
    ERR_SANDBOX,
    ERR_KERNEL_DIED,
    ERR_UNAVAILABLE,
    ERR_TIMEOUT,
    ERR_N_CODES
};

struct err {
    enum err_code code;
    char text[512];   /* one line, no trailing dot, safe to show to the client */
    const char *rule; /* of ERR_POLICY: the setting that forbids it; NULL: not known */
};

#define ERR_INIT { .code = ERR_NONE, .text = "" }

/* Sets code and text. Always returns -1, so that it can be returned. e may be NULL. */
int err_set(struct err *e, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ERR_POLICY by a rule that outlives e. */
int err_policy(struct err *e, const char *rule, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* err_set with ": <strerror>" of the present errno appended. */
int err_errno(struct err *e, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "doing: " before the text that e has. Returns -1. */
int err_in(struct err *e, const char *doing);

const char *err_name(enum err_code code);               /* "invalid_request", … never NULL */
int err_http(enum err_code code);                       /* the HTTP status */
enum err_code err_from_name(struct slice name);         /* ERR_INTERNAL when unknown */

#endif
