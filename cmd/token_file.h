/* token_file.h - where the service is and a key for it, left by `serve` for the user who started
 * it.
 *
 *     url=http://127.0.0.1:8080
 *     token=kh_…                     "none" when the service asks for no key
 *     state=/var/lib/kernelhub       whose key it is: the service's state folder
 */
#ifndef CMD_TOKEN_FILE_H
#define CMD_TOKEN_FILE_H

#include "base/err.h"
#include "cmd/paths.h"

struct token_file {
    char url[256];
    char token[128];
    char state[PATH_SIZE];
};

/* Unknown lines are skipped, values that are too long count as absent. */
void token_file_parse(struct token_file *ret, struct slice text);

/* A file that is not there: all fields "". */
int token_file_read(const char *path, struct token_file *ret, struct err *e);

/* 0600, replaced as a whole, by a child process that has first become `owner`; so a symlink in the
 * owner's home leads root nowhere. */
int token_file_write(const char *path, const struct token_file *t, const struct paths_owner *owner,
                     struct err *e);

#endif
