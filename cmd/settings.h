/* settings.h - the options that say how the service is set up; serve, hub, keeper, stop and doctor
 * share them. */
#ifndef CMD_SETTINGS_H
#define CMD_SETTINGS_H

#include "base/cleanup.h"
#include "cmd/options.h"
#include "kernelhub/config.h"

struct settings {
    const char *config_file; /* NULL: the default place, which may be empty */
    const char *address, *port, *auth, *state, *run;
    bool allow_weak;
    struct option_list set; /* section/key=value */
};

/* Rows for a table of options. */
/* clang-format off */
#define SETTINGS_OPTIONS(s)                                                                        \
    { "config", 'c', OPTION_TEXT, "FILE",                                                          \
      "settings file (default: /etc/kernelhub/kernelhub.conf)", &(s)->config_file },               \
    { "port", 'p', OPTION_TEXT, "N",                                                               \
      "listen port (server/port, default 8080; 0: any free one)", &(s)->port },                    \
    { "address", 'a', OPTION_TEXT, "A",                                                            \
      "listen address (server/address, default 127.0.0.1)", &(s)->address },                       \
    { "auth", 0, OPTION_TEXT, "key|none",                                                          \
      "none: no keys asked for, only on loopback", &(s)->auth },                                   \
    { "state", 0, OPTION_TEXT, "DIR",                                                              \
      "where everything lasting is (default /var/lib/kernelhub)", &(s)->state },                   \
    { "run", 0, OPTION_TEXT, "DIR",                                                                \
      "sockets and pid files (default /run/kernelhub)", &(s)->run },                               \
    { "allow-weak", 0, OPTION_FLAG, NULL,                                                          \
      "start although the host cannot enforce every limit", &(s)->allow_weak },                    \
    { "set", 0, OPTION_LIST, "NAME=V",                                                             \
      "any other setting, e.g. limits/cpus=4000", &(s)->set }
/* clang-format on */

DEFINE_CLEANUP(struct config, config_free)

/* Defaults, then the file, then the environment, then these options. */
int settings_read(const struct settings *s, struct config **ret, struct err *e);

/* Writes options that say the same as s into argv[*n…]; the strings stay where they are. `size`
 * counts argv's places; one is left for the NULL. */
int settings_arguments(const struct settings *s, const char **argv, size_t size, size_t *n,
                       struct err *e);

const char *settings_file(const struct settings *s); /* the file that settings_read reads */

/* What is in the file now, in memory (CLOEXEC), sealed: who is given it can read it and nobody can change it any more. A
 * file that is not there is an empty one. */
int settings_copy(const char *path, int *ret_fd, struct err *e);

#endif
