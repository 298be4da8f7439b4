/* routes.h - the one table of what can be asked for. docs/openapi.json says the same; a test
 * compares them. */
#ifndef WEB_ROUTES_H
#define WEB_ROUTES_H

#include "web/router.h"

const struct route *routes_table(size_t *ret_n);

#endif
