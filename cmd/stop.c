#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/commands.h"
#include "cmd/folders.h"
#include "cmd/keeper_settings.h"
#include "cmd/pidfile.h"
#include "cmd/settings.h"
#include "cmd/supervisor.h"
#include "sandbox/process.h"

#define STOP_LIMIT_MS 100000u /* both roles' grace, the purge and some */

static int find_process(const struct config *c, const char *file, char ret_path[PATH_SIZE],
                        struct err *e)
{
    if (paths_join(ret_path, config_text(c, CONFIG_PATHS_RUN), file, e) < 0)
        return -1;
    return pidfile_open(ret_path, NULL);
}

static int signal_process(int pidfd, int signal, struct err *e)
{
    if (syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0)
        return err_errno(e, ERR_FORBIDDEN,
                         "end the service (root started it: sudo kernelhub stop)");
    return 0;
}

static int stop_hub(const struct config *c, struct err *e)
{
    char path[PATH_SIZE];
    CLEANUP_FD int pidfd = find_process(c, "hub.pid", path, e);

    if (pidfd < 0)
        return err_set(e, ERR_NOT_FOUND, "no hub runs (there is none in %s)",
                       config_text(c, CONFIG_PATHS_RUN));
    if (signal_process(pidfd, SIGTERM, e) < 0)
        return -1;
    if (!process_wait(pidfd, 15000))
        return err_set(e, ERR_TIMEOUT, "the hub did not end within 15 s");
    printf("the hub has ended; the supervisor starts it again, sandboxes and running code go on\n");
    return 0;
}

/* What a supervisor that was killed left behind. */
static int stop_left_over(const struct config *c, bool *ret_found, struct err *e)
{
    static const char *const FILES[] = { "hub.pid", "courier.pid", "keeper.pid" };
    char path[PATH_SIZE];

    for (size_t i = 0; i < ARRAY_LEN(FILES); i++) {
        if (paths_join(path, config_text(c, CONFIG_PATHS_RUN), FILES[i], e) < 0)
            return -1;
        *ret_found = pidfile_end(path, SIGTERM, 10000) || *ret_found;
    }
    return 0;
}

/* Sandboxes outlive everything else, so this is done also when nothing ran. */
static int stop_sandboxes(const struct config *c, struct err *e)
{
    struct keeper_settings keeper;

    if (geteuid() != 0 && !config_flag(c, CONFIG_KEEPER_ALLOW_WEAK))
        return err_set(e, ERR_FORBIDDEN, "sandboxes are root's to remove: sudo kernelhub stop");
    if (keeper_settings_read(c, &keeper, e) < 0)
        return -1;
    log_open("keeper", LOG_LEVEL_WARNING);
    return keeper_purge(&keeper.options, e);
}

static bool have_state(const struct config *c)
{
    char path[PATH_SIZE];
    return paths_join(path, config_text(c, CONFIG_PATHS_STATE), "keeper", NULL) == 0 &&
           access(path, F_OK) == 0;
}

static int stop_all(const struct config *c, struct err *e)
{
    char path[PATH_SIZE];
    CLEANUP_FD int pidfd = find_process(c, SUPERVISOR_PID_FILE, path, e);
    bool found = pidfd >= 0;

    if (pidfd >= 0) {
        if (signal_process(pidfd, SIGINT, e) < 0)
            return -1;
        if (!process_wait(pidfd, STOP_LIMIT_MS))
            return err_set(e, ERR_TIMEOUT, "the service did not end within %u s",
                           STOP_LIMIT_MS / 1000);
    }
    if (stop_left_over(c, &found, e) < 0)
        return -1;
    if (have_state(c) && stop_sandboxes(c, e) < 0)
        return -1;
    printf(found ? "the service and its sandboxes have ended\n" : "no service was running\n");
    return 0;
}

int command_stop(int argc, char **argv)
{
    struct settings settings = { 0 };
    bool hub_only = false;
    const struct option_spec specs[] = {
        SETTINGS_OPTIONS(&settings),
        { "hub", 0, OPTION_FLAG, NULL,
          "only the hub, which is started again at once; running code goes on", &hub_only },
        { 0 },
    };
    const struct options options = {
        .command = "stop",
        .arguments = "",
        .specs = specs,
        .about = "Ends the service and every sandbox; workspaces and history stay.",
        .examples = "  kernelhub stop\n  kernelhub stop --hub\n  kernelhub stop --state /srv/kh "
                    "--run /run/kh\n",
    };
    struct option_list none;
    struct err e = ERR_INIT;
    int code;

    if (!options_read(&options, argc, argv, &none, &code))
        return code;
    CLEANUP(config_free) struct config *config = NULL;
    if (settings_read(&settings, &config, &e) == 0 &&
        (hub_only ? stop_hub(config, &e) : stop_all(config, &e)) == 0)
        return 0;
    fprintf(stderr, "kernelhub stop: %s\n", e.text);
    return 1;
}
