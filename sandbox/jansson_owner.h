/* jansson_owner.h - jansson with a cleanup: `CLEANUP(json_decref) json_t *j`. Not in one file with
 * base/json.h: the two share names. */
#ifndef SANDBOX_JANSSON_OWNER_H
#define SANDBOX_JANSSON_OWNER_H

#include <jansson.h>

#include "base/cleanup.h"

static inline void json_decref_at(json_t **j)
{
    json_decref(*j);
}

#endif
