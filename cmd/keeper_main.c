#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/commands.h"
#include "cmd/folders.h"
#include "cmd/keeper_settings.h"
#include "cmd/role.h"
#include "cmd/settings.h"
#include "sandbox/keeper.h"

/* Installed it stands in the data folder; in a source tree where it is kept. */
static int find_data(const char *name, char ret[PATH_SIZE], struct err *e)
{
    char in_tree[PATH_SIZE], below[64];

    (void)snprintf(below, sizeof below, "sandbox/%s", name); /* names of ours */
    if (paths_join(ret, paths_data(), name, e) < 0 ||
        paths_join(in_tree, paths_data(), below, e) < 0)
        return -1;
    if (access(ret, R_OK) < 0 && access(in_tree, R_OK) == 0)
        strcpy(ret, in_tree);
    return 0;
}

static struct builder_options read_builder(const struct config *c, const char *program)
{
    const char *wheels = config_text(c, CONFIG_PACKAGES_WHEELS);

    return (struct builder_options){
        .program = program,
        .host_network = strcmp(config_text(c, CONFIG_PACKAGES_NETWORK), "host") == 0,
        .host_settings = config_flag(c, CONFIG_PACKAGES_HOST_SETTINGS),
        .wheels_dir = *wheels ? wheels : NULL,
        .max_bytes = config_number(c, CONFIG_PACKAGES_MAX_BYTES),
        .min_free_bytes = (uint64_t)config_number(c, CONFIG_LIMITS_MIN_FREE),
        .memory_bytes = config_number(c, CONFIG_PACKAGES_MEMORY),
        .cpus = (double)config_number(c, CONFIG_LIMITS_CPUS) / 1000,
        .pids = config_number(c, CONFIG_LIMITS_PIDS),
        .timeout_s = (unsigned)config_number(c, CONFIG_PACKAGES_TIMEOUT),
    };
}

int keeper_settings_read(const struct config *c, struct keeper_settings *ret, struct err *e)
{
    struct folders_user hub;
    const char *podman = config_text(c, CONFIG_KEEPER_PODMAN_SOCKET),
               *runtime = config_text(c, CONFIG_KEEPER_RUNTIME);

    if (folders_find_user(c, &hub, e) < 0 ||
        paths_join(ret->init_path, paths_libexec(), "kernelhub-init", e) < 0 ||
        paths_join(ret->warden_path, paths_libexec(), "kernelhub-warden", e) < 0 ||
        find_data("seccomp.json", ret->seccomp_path, e) < 0 ||
        find_data("build-packages", ret->program_path, e) < 0)
        return -1;
    ret->options = (struct keeper_options){
        .state_dir = config_text(c, CONFIG_PATHS_STATE),
        .run_dir = config_text(c, CONFIG_PATHS_RUN),
        .hub_uid = hub.uid,
        .hub_gid = hub.gid,
        .init_path = ret->init_path,
        .warden_path = ret->warden_path,
        .seccomp_path = ret->seccomp_path,
        .podman_socket = *podman ? podman : NULL,
        .runtime = *runtime ? runtime : NULL,
        .allow_weak = config_flag(c, CONFIG_KEEPER_ALLOW_WEAK),
        .id_base = (unsigned)config_number(c, CONFIG_KEEPER_ID_BASE),
        .id_count = (unsigned)config_number(c, CONFIG_KEEPER_ID_COUNT),
        .max_sandboxes = (unsigned)config_number(c, CONFIG_LIMITS_SANDBOXES),
        .builder = read_builder(c, ret->program_path),
        .workspace_bytes = (uint64_t)config_number(c, CONFIG_LIMITS_WORKSPACE),
        .workspace_files = (uint64_t)config_number(c, CONFIG_LIMITS_WORKSPACE_FILES),
        .spool_mib = (unsigned)(config_number(c, CONFIG_LIMITS_SPOOL) >> 20),
    };
    return 0;
}

static int keep(const struct settings *settings, bool report, bool purge, struct err *e)
{
    CLEANUP(config_free) struct config *config = NULL;
    struct keeper_settings keeper;
    enum log_level level = LOG_LEVEL_INFO;

    if (role_read_settings(settings, report, &config, e) < 0)
        return -1;
    (void)log_parse_level(slice_str(config_text(config, CONFIG_LOG_LEVEL)), &level);
    log_open("keeper", level);
    if (keeper_settings_read(config, &keeper, e) < 0)
        return -1;
    return purge ? keeper_purge(&keeper.options, e) : keeper_run(&keeper.options, e);
}

int command_keeper(int argc, char **argv)
{
    struct settings settings = { 0 };
    bool purge = false, report = false, ignored = false;
    const struct option_spec specs[] = {
        SETTINGS_OPTIONS(&settings),
        { "purge", 0, OPTION_FLAG, NULL, "remove every sandbox of this service, and end", &purge },
        { "report", 0, OPTION_FLAG, NULL, NULL, &report },
        { "new-admin-key", 0, OPTION_FLAG, NULL, NULL, &ignored },
        { 0 },
    };
    const struct options options = {
        .command = "keeper",
        .arguments = "",
        .specs = specs,
        .about =
            "Internal: the role that is root and speaks to Podman. 'kernelhub serve' starts it.",
    };
    struct option_list none;
    struct err e = ERR_INIT;
    int code;

    if (!options_read(&options, argc, argv, &none, &code))
        return code;
    if (report)
        role_begin();
    if (keep(&settings, report, purge, &e) == 0)
        return 0;
    log_error("event=failed reason=%s", log_quote(slice_str(e.text)));
    if (report)
        role_report_send(NULL, NULL, e.text);
    return e.code == ERR_INTERNAL ? 1 : 2;
}
