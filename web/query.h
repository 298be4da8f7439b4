/* query.h - the parameters behind the question mark of one request. */
#ifndef WEB_QUERY_H
#define WEB_QUERY_H

#include <stdint.h>

#include "base/err.h"

#define QUERY_MAX 32 /* parameters; more is an error */

struct query {
    char *text; /* owns the decoded bytes */
    size_t n;
    struct {
        const char *name;
        const char *value;
    } items[QUERY_MAX];
};

/* Parses "a=1&b=2". ERR_INVALID: a bad escape, the same name twice, too many. Call query_done in
 * any case. */
int query_parse(struct query *q, struct slice raw, struct err *e)
    __attribute__((warn_unused_result));
void query_done(struct query *q);

/* The value, "" for a name without one, NULL when it is not there. */
const char *query_get(const struct query *q, const char *name);

/* ERR_INVALID naming the first parameter that is neither in `allowed` ("after follow limit") nor
 * `token`. */
int query_check(const struct query *q, const char *allowed, struct err *e)
    __attribute__((warn_unused_result));

/* A whole number in [min, max]; `otherwise` when it is not there. */
int query_number(const struct query *q, const char *name, int64_t min, int64_t max,
                 int64_t otherwise, int64_t *ret, struct err *e)
    __attribute__((warn_unused_result));

/* 1, true, yes or an empty value; 0, false, no. */
int query_flag(const struct query *q, const char *name, bool otherwise, bool *ret, struct err *e)
    __attribute__((warn_unused_result));

#endif
