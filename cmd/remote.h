/* remote.h - a path in the user's workspace, as the service's REST API names it. */
#ifndef CMD_REMOTE_H
#define CMD_REMOTE_H

#include <stdbool.h>

#include "base/err.h"

#define REMOTE_FILES "/api/v1/files"

/* "/api/v1/files/a%20b/c?sandbox=lab" for "/a b//./c" and "lab" (NULL: the user's own). More of a query may be added by remote_add. NULL
 * and e: a path that leads out of the workspace, or names the workspace itself. Freed by the caller. */
char *remote_file(const char *path, const char *sandbox, struct err *e);
char *remote_folder(const char *path, const char *sandbox,
                    struct err *e);      /* may be the workspace */
char *remote_files(const char *sandbox); /* the collection */

/* Appends name=value to the query of a path from above; value NULL: nothing. Frees url, returns another. */
char *remote_add(char *url, const char *name, const char *value);

/* Where a file goes that is called `name` here: `wanted`, or into it when it ends with a slash, or under its name when it is NULL. Freed
 * by the caller. */
char *remote_target(const char *wanted, const char *name);
const char *remote_name(const char *path); /* what is behind the last slash, unless nothing is */

#endif
