/* keeper_settings.h - the service's settings as the keeper's options. */
#ifndef CMD_KEEPER_SETTINGS_H
#define CMD_KEEPER_SETTINGS_H

#include "cmd/paths.h"
#include "kernelhub/config.h"
#include "sandbox/keeper.h"

struct keeper_settings {
    struct keeper_options options; /* points into this struct and into the config */
    char init_path[PATH_SIZE], warden_path[PATH_SIZE], seccomp_path[PATH_SIZE], program_path[PATH_SIZE];
};

int keeper_settings_read(const struct config *c, struct keeper_settings *ret, struct err *e);

#endif
