/* All of these calls fail only for what is no TCP socket. */
#include "web/tcp_line.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

void tcp_line_tune(int fd)
{
    int yes = 1, idle_seconds = 60, every_seconds = 20, times = 3;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes); /* who knows what it was */
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_seconds, sizeof idle_seconds);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_seconds, sizeof every_seconds);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof times);
}

int tcp_line_unacknowledged(int fd)
{
    int n = 0;
    (void)ioctl(fd, SIOCOUTQ, &n);
    return n;
}

bool tcp_line_is_deaf(int fd)
{
    struct tcp_info info = { .tcpi_retransmits = 0 };
    socklen_t size = sizeof info;
    (void)getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
    return info.tcpi_retransmits > 1 || info.tcpi_probes > 1;
}
