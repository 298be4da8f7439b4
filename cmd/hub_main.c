#include <czmq.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "cmd/commands.h"
#include "cmd/folders.h"
#include "cmd/hub_confine.h"
#include "cmd/role.h"
#include "cmd/settings.h"
#include "kernelhub/hub.h"
#include "kernelhub/spare.h"
#include "kernelhub/user.h"
#include "web/server.h"

#define DRAIN_MS 200 /* replies that are ready leave; who waits for a cell attaches again */

DEFINE_CLEANUP(struct hub, hub_free)
DEFINE_CLEANUP(struct server, server_free)

struct hub_role {
    struct settings settings;
    bool report, new_admin_key;
    struct server *server;
    bool draining;
};

static int on_drained(struct loop *loop, int timer_id, void *arg)
{
    return -1; /* ends the loop */
}

static int on_signal(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct hub_role *r = arg;
    struct signalfd_siginfo info;

    if (read(item->fd, &info, sizeof info) != (ssize_t)sizeof info || r->draining)
        return 0;
    log_info("event=ending signal=%u", info.ssi_signo);
    r->draining = true;
    server_drain(r->server);
    loop_timer(loop, DRAIN_MS, on_drained, r);
    return 0;
}

/* Before the first thread, so that every thread inherits the mask: only the loop hears of signals.
 */
static int open_signals(struct err *e)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return err_errno(e, ERR_INTERNAL, "block signals");
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? err_errno(e, ERR_INTERNAL, "watch signals") : fd;
}

/* For the token file of an administrator who has lost the key. */
static int make_admin_key(struct hub *h, char *ret_key, struct err *e)
{
    CLEANUP_BUF struct buf json = BUF_INIT(8192);
    struct user *admin = user_find(h, "admin");

    if (!admin && user_create(h, "admin", true, &admin, e) < 0)
        return -1;
    if (!admin->admin)
        return err_set(e, ERR_CONFLICT, "the user 'admin' is no administrator");
    return user_key_create(h, admin, "token file", 0, ret_key, &json, e);
}

static void write_url(const struct config *c, const struct server *server, char *ret, size_t size)
{
    const char *address = config_text(c, CONFIG_SERVER_ADDRESS);
    unsigned port = server_port(server);

    if (strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0)
        address = "127.0.0.1";
    (void)snprintf(ret, size, strchr(address, ':') ? "http://[%s]:%u" : "http://%s:%u", address,
                   port);
}

static int serve_until_signal(struct hub_role *r, const struct config *config, int signal_fd,
                              struct err *e)
{
    CLEANUP(loop_free) struct loop *loop = loop_new();
    CLEANUP(hub_free) struct hub *hub = NULL;
    CLEANUP(server_free) struct server *server = NULL;
    zmq_pollitem_t signals = { .fd = signal_fd, .events = ZMQ_POLLIN };
    char key[128] = "", url[256];

    spare_set_bounds();
    loop_poller(loop, &signals, on_signal, r);
    if (hub_new(config, loop, key, sizeof key, &hub, e) < 0 || server_new(hub, &server, e) < 0)
        return -1;
    if (r->new_admin_key && !key[0] && make_admin_key(hub, key, e) < 0)
        return -1;
    r->server = server;
    write_url(config, server, url, sizeof url);
    log_info("event=listening url=%s", url);
    if (r->report)
        role_report_send(url, key, NULL);
    explicit_bzero(key, sizeof key);
    (void)loop_start(loop); /* ends by on_drained */
    loop_poller_end(loop, &signals);
    return 0;
}

static int run_hub(struct hub_role *r, struct err *e)
{
    CLEANUP(config_free) struct config *config = NULL;
    enum log_level level = LOG_LEVEL_INFO;
    struct folders_user user;

    if (role_read_settings(&r->settings, r->report, &config, e) < 0)
        return -1;
    (void)log_parse_level(slice_str(config_text(config, CONFIG_LOG_LEVEL)), &level);
    log_open("hub", level);
    int64_t port = config_number(config, CONFIG_SERVER_PORT);
    if (port > 0 && port < 1024)
        return err_set(e, ERR_INVALID,
                       "port %lld: the hub is not root, so it needs a port from 1024 on",
                       (long long)port);
    if (folders_find_user(config, &user, e) < 0)
        return -1;
    CLEANUP_FD int signal_fd = open_signals(e);
    zsys_handler_set(NULL); /* czmq's own handlers would end the loop without draining */
    if (signal_fd < 0 || hub_confine(config, &user, e) < 0)
        return -1;
    return serve_until_signal(r, config, signal_fd, e);
}

int command_hub(int argc, char **argv)
{
    struct hub_role r = { 0 };
    const struct option_spec specs[] = {
        SETTINGS_OPTIONS(&r.settings),
        { "report", 0, OPTION_FLAG, NULL, NULL, &r.report },
        { "new-admin-key", 0, OPTION_FLAG, NULL, "make one, for the token file", &r.new_admin_key },
        { 0 },
    };
    const struct options options = {
        .command = "hub",
        .arguments = "",
        .specs = specs,
        .about = "Internal: the role that faces the network. 'kernelhub serve' starts it.",
    };
    struct option_list none;
    struct err e = ERR_INIT;
    int code;

    if (!options_read(&options, argc, argv, &none, &code))
        return code;
    if (r.report)
        role_begin();
    if (run_hub(&r, &e) == 0)
        return 0;
    log_error("event=failed reason=%s", log_quote(slice_str(e.text)));
    if (r.report)
        role_report_send(NULL, NULL, e.text);
    return e.code == ERR_INTERNAL ? 1 : 2;
}
