/* warden_order.h - the hub's LINK_START read and turned into init's START: argv, environment, connection file. */
#ifndef SANDBOX_WARDEN_ORDER_H
#define SANDBOX_WARDEN_ORDER_H

#include "base/buf.h"
#include "base/err.h"
#include "protocol/link.h"

#define WARDEN_ORDER_MAX_BYTES (64u << 10) /* of the JSON; init takes packets of 176 KiB */
#define WARDEN_ORDER_MAX_EXEC_BYTES (2u << 20) /* of a LINK_EXEC's: escapes may be six times as long as what they stand for */

struct warden_order {
    bool tcp;             /* transport */
    bool message_interrupt; /* interrupt_mode */
    bool climbs; /* not from the JSON: init takes a folder that may not be there (INIT_CAN_CLIMB); without it "folder" is passed over */
    int64_t ready_timeout_ms, settle_ms;
};

/* Reads the options; ERR_INVALID names what is wrong. */
int warden_order_read(struct slice json, struct warden_order *ret, struct err *e);

/* Appends START's payload. `folder` is the kernel's own inside the container ("/run/kernel/7"), number
 * chooses the TCP ports, key is what messages are signed with. */
int warden_order_write(struct buf *out, struct slice json, const struct warden_order *o, const char *folder,
                       unsigned number, const char *key, struct err *e);

/* Appends EXEC's payload: argv, env and cwd (absolute) of a LINK_EXEC. */
int warden_order_write_exec(struct buf *out, struct slice json, struct err *e);

/* Where the kernel listens, as INIT_CHANNEL's payload: "ipc:/run/kernel/7/ch-1" or "tcp:20057". */
void warden_order_endpoint(const struct warden_order *o, const char *folder, unsigned number,
                           enum link_channel channel, char ret[128]);

#endif
