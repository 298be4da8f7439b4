/* tcp_line.h - what the system knows of, and does for, a client's TCP connection. On what is none all of it does nothing. */
#ifndef WEB_TCP_LINE_H
#define WEB_TCP_LINE_H

#include <stdbool.h>

/* No Nagle; whose machine vanished TCP finds out, within two minutes. */
void tcp_line_tune(int fd);

int tcp_line_unacknowledged(int fd); /* bytes that were sent and not yet taken by the other side */
bool tcp_line_is_deaf(int fd);       /* it was sent to again and again */

#endif
