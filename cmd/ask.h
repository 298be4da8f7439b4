/* ask.h - the short subcommands: one call to the service, its reply printed. */
#ifndef CMD_ASK_H
#define CMD_ASK_H

#include "cmd/client.h"
#include "cmd/table.h"

struct ask {
    const char *command; /* for messages */
    struct client_settings where;
    bool json; /* print the reply as it is */
};

/* Rows for a table of options. */
/* clang-format off */
#define ASK_OPTIONS(a)                                                                             \
    CLIENT_OPTIONS(&(a)->where),                                                                   \
    { "json", 0, OPTION_FLAG, NULL, "print the service's reply as JSON", &(a)->json }
/* clang-format on */

/* Makes the call. On failure says why and returns an exit code; 0 and *ret (the caller's, maybe
 * NULL) else. */
int ask_call(const struct ask *a, const char *method, const char *path, const json_t *body,
             json_t **ret);

/* GET path, then its items as a table (or JSON). The exit code. */
int ask_list(const struct ask *a, const char *path, const struct table_column *columns, size_t n);

/* A call whose success needs only a sentence: printf-style with the name. The exit code. */
int ask_do(const struct ask *a, const char *method, const char *path, const char *done,
           const char *name);

#endif
