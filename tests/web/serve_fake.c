/* Serves the API from a fake hub, for tests that want a real socket: prints its port, ends on
 * SIGTERM or SIGINT (draining first for half a second) or when stdin is closed.
 *
 *     serve_fake [server/KEY=VALUE …] [store=stuck] [secret=TEXT] [later=SECONDS] */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../unit/fake_hub.h"
#include "base/log.h"
#include "web/server.h"

static int on_drained(struct loop *loop, int id, void *arg)
{
    return -1;
}

static int on_stdin(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    char c = '\0';
    ssize_t n = read(STDIN_FILENO, &c, 1);
    if (n == 1 && c == 'd') {
        server_drain(arg);
        loop_timer(loop, 500, on_drained, NULL);
        return 0;
    }
    return n == 1 && c == '\n' ? 0 : -1;
}

static void set(struct hub *hub, const char *option)
{
    static const struct {
        const char *name;
        enum config_key key;
        bool is_number;
    } KEYS[] = {
        { "address=", CONFIG_SERVER_ADDRESS, false },
        { "auth=", CONFIG_SERVER_AUTH, false },
        { "metrics=", CONFIG_SERVER_METRICS_TOKEN, false },
        { "connections=", CONFIG_SERVER_MAX_CONNECTIONS, true },
        { "body=", CONFIG_SERVER_MAX_BODY, true },
        { "origins=", CONFIG_SERVER_ALLOWED_ORIGINS, false },
        { "base=", CONFIG_SERVER_BASE_PATH, false },
        { "state=", CONFIG_PATHS_STATE, false },
        { "ping=", CONFIG_SERVER_PING, true },
        { "sockets=", CONFIG_LIMITS_SOCKETS, true },
        { "space=", CONFIG_LIMITS_WORKSPACE, true },
        { "mcp-fixtures=", CONFIG_MCP_FIXTURES, true },
        { "mcp-sse=", CONFIG_MCP_SSE, true },
        { "mcp-structured=", CONFIG_MCP_STRUCTURED, true },
        { "mcp-resource=", CONFIG_MCP_RESOURCE, false },
        { "mcp-authorization=", CONFIG_MCP_AUTHORIZATION, false },
        { "port=", CONFIG_SERVER_PORT, true },
    };
    if (strcmp(option, "store=stuck") == 0)
        fake_hub_stick(hub);
    if (strncmp(option, "secret=", 7) == 0)
        fake_hub_set_secret(hub, option + 7);
    if (strncmp(option, "later=", 6) == 0)
        fake_hub_set_later(hub, atoll(option + 6));
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++) {
        size_t n = strlen(KEYS[i].name);
        if (strncmp(option, KEYS[i].name, n) == 0)
            fake_hub_set(hub, KEYS[i].key, KEYS[i].is_number ? NULL : option + n,
                         atoll(option + n));
    }
}

int main(int argc, char **argv)
{
    struct loop *loop = loop_new();
    struct hub *hub = fake_hub_new(loop);
    struct server *server = NULL;
    struct err e = ERR_INIT;
    zmq_pollitem_t in = { .fd = STDIN_FILENO, .events = ZMQ_POLLIN };
    log_open("fake", getenv("DEBUG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
    for (int i = 1; i < argc; i++)
        set(hub, argv[i]);
    if (server_new(hub, &server, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    printf("%u\n", server_port(server));
    fflush(stdout);
    loop_poller(loop, &in, on_stdin, server);
    loop_start(loop);
    server_free(server);
    hub_free(hub);
    loop_free(loop);
    return 0;
}
