#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/commands.h"
#include "cmd/courier_confine.h"
#include "cmd/folders.h"
#include "cmd/role.h"
#include "cmd/settings.h"
#include "courier/courier.h"

#define IDLE_MS 60000

/* Nothing is kept here: what is under way, the hub asks for again. */
static void on_end(int signal)
{
    _exit(0);
}

static int run_courier(const struct settings *settings, bool report, struct err *e)
{
    CLEANUP(config_free) struct config *config = NULL;
    enum log_level level = LOG_LEVEL_INFO;
    struct folders_user hub;

    if (role_read_settings(settings, report, &config, e) < 0)
        return -1;
    (void)log_parse_level(slice_str(config_text(config, CONFIG_LOG_LEVEL)), &level);
    log_open("courier", level);
    struct courier_options o = {
        .listen_fd = ROLE_LISTEN_FD,
        .idle_ms = IDLE_MS,
        .delivery.ca_file = config_text(config, CONFIG_COURIER_CA_FILE),
    };
    if (network_policy_parse(&o.delivery.policy, config_text(config, CONFIG_COURIER_ALLOW),
                             config_flag(config, CONFIG_COURIER_ALLOW_PRIVATE), e) < 0)
        return err_in(e, "courier/allow");
    if (folders_find_user(config, &hub, e) < 0)
        return -1;
    o.hub_uid = hub.uid;
    if (courier_prepare(e) < 0 || courier_confine(config, e) < 0)
        return -1;
    return courier_run(&o, e);
}

int command_courier(int argc, char **argv)
{
    struct settings settings = { 0 };
    bool report = false;
    const struct option_spec specs[] = {
        SETTINGS_OPTIONS(&settings),
        { "report", 0, OPTION_FLAG, NULL, NULL, &report },
        { 0 },
    };
    const struct options options = {
        .command = "courier",
        .arguments = "",
        .specs = specs,
        .about = "Internal: the role that makes outgoing calls. 'kernelhub serve' starts it when "
                 "there is one to make.",
    };
    struct option_list none;
    struct err e = ERR_INIT;
    int code;

    if (!options_read(&options, argc, argv, &none, &code))
        return code;
    (void)signal(SIGTERM, on_end);
    (void)signal(SIGINT, on_end);
    if (report)
        role_begin();
    if (run_courier(&settings, report, &e) == 0)
        return 0;
    log_error("event=failed reason=%s", log_quote(slice_str(e.text)));
    return e.code == ERR_INTERNAL ? 1 : 2;
}
