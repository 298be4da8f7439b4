/* body.h - what a request's body has to be before a JSON tree is built of it. */
#ifndef WEB_BODY_H
#define WEB_BODY_H

#include "base/err.h"

/* A tree is built only of what is known to be small: a list of five million zeros is 10 MiB as text
 * and 160 as a tree. */
#define BODY_MAX_VALUES 20000

/* ERR_INVALID, with line and column, for a NUL byte, depth above 64, or more values than
 * BODY_MAX_VALUES. Builds nothing. */
int body_check(struct slice text, struct err *e) __attribute__((warn_unused_result));

/* json_valid of base/json.h, which cannot be included beside jansson.h. */
bool body_is_json(struct slice text);

#endif
