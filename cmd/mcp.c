#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "cmd/bridge.h"
#include "cmd/client.h"
#include "cmd/commands.h"

/* Nothing but messages may come to stdout, whatever a library prints: so what is called so is stderr from here on. */
static int take_stdout(struct err *e)
{
    CLEANUP_FD int fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);

    if (fd < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        return err_errno(e, ERR_INTERNAL, "take stdout");
    return TAKE_FD(fd);
}

static int watch_signals(struct err *e)
{
    sigset_t set;

    (void)signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? err_errno(e, ERR_INTERNAL, "watch signals") : fd;
}

static int speak(const struct client_settings *where, struct client **client, struct err *e)
{
    CLEANUP_FD int out = take_stdout(e);
    CLEANUP_FD int signals = -1;

    if (out < 0 || (signals = watch_signals(e)) < 0 || client_new(where, client, e) < 0)
        return -1;
    const struct bridge_settings settings = { .client = *client,
                                              .url = client_url(*client),
                                              .in_fd = STDIN_FILENO,
                                              .out_fd = out,
                                              .signal_fd = signals };
    return bridge_run(&settings, e);
}

int command_mcp(int argc, char **argv)
{
    struct client_settings where = { 0 };
    CLEANUP(client_free) struct client *client = NULL;
    const struct option_spec specs[] = { CLIENT_OPTIONS(&where), { 0 } };
    const struct options options = {
        .command = "mcp",
        .arguments = "",
        .specs = specs,
        .about = "Speaks MCP over stdin and stdout, one message a line, for programs that start "
                 "their MCP servers.\n"
                 "It is a client of the service, which has to run: what runs and what is kept is "
                 "there, so it outlives\n"
                 "this command. The end of stdin or SIGTERM cancels what runs. Clients that speak "
                 "HTTP need it not: they\n"
                 "go to the service's own /mcp.",
        .examples =
            "  {\"mcpServers\": {\"kernelhub\": {\"command\": \"kernelhub\", \"args\": [\"mcp\"],\n"
            "    \"env\": {\"KERNELHUB_URL\": \"http://127.0.0.1:8080\", \"KERNELHUB_TOKEN\": "
            "\"kh_…\"}}}}\n",
    };
    struct option_list arguments;
    struct err e = ERR_INIT;
    int code;

    if (!options_read(&options, argc, argv, &arguments, &code))
        return code;
    return speak(&where, &client, &e) < 0 ? client_complain("mcp", client, &e) : 0;
}
