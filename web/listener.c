#include "web/listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/cleanup.h"

#define BACKLOG 512

static void free_addresses(struct addrinfo *list)
{
    freeaddrinfo(list);
}
DEFINE_CLEANUP(struct addrinfo, free_addresses)

static uint16_t port_of(int fd)
{
    struct sockaddr_storage at = { .ss_family = AF_UNSPEC };
    socklen_t size = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &size) < 0)
        return 0;
    return ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                          : ((struct sockaddr_in *)&at)->sin_port);
}

static int bound(const struct addrinfo *at)
{
    CLEANUP_FD int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int yes = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0 ||
        bind(fd, at->ai_addr, at->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
        return -1;
    return TAKE_FD(fd);
}

/* Never asks a name server: nothing here may wait. */
static int look_up(const char *address, const char *port, struct addrinfo **ret)
{
    struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
    if (strcmp(address, "localhost") == 0)
        address = "127.0.0.1";
    hints.ai_flags |= AI_NUMERICHOST;
    return getaddrinfo(address, port, &hints, ret);
}

int listener_open(const char *address, uint16_t port, uint16_t *ret_port, struct err *e)
{
    CLEANUP(free_addresses) struct addrinfo *at = NULL;
    char text[8];
    (void)snprintf(text, sizeof text, "%u", port); /* five digits at most */
    int why = look_up(address, text, &at);
    if (why != 0)
        return err_set(e, ERR_INVALID, "server/address '%s': %s", address, gai_strerror(why));
    int fd = bound(at);
    if (fd < 0)
        return err_errno(e, ERR_UNAVAILABLE, "listen on %s port %u", address, port);
    *ret_port = port_of(fd);
    return fd;
}
