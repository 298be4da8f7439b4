/* lease.h - how long a sandbox may live: a hard lease and an idle limit. Pure: the clock is an argument, times are unix µs. */
#ifndef KERNELHUB_LEASE_H
#define KERNELHUB_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lease {
    int64_t begun_us;     /* the hard lease counts from here: made, or extended */
    int64_t ttl_seconds;  /* 0: no hard lease */
    int64_t idle_seconds; /* above 0 */
    int64_t used_us;      /* end of the last use that is over */
};

/* What holds it at this moment. */
struct lease_hold {
    bool in_use;           /* a client is attached, a kernel starts, code waits for one: it is not idle */
    int64_t runs_until_us; /* a cell runs, and its own timeout ends then; 0: none runs */
};

enum lease_state {
    LEASE_GOOD,
    LEASE_HELD, /* the hard lease has ended, but a cell still runs within its own timeout: nothing new may begin */
    LEASE_IDLE, /* to be ended: nobody has used it for idle_seconds */
    LEASE_OVER, /* to be ended: its hard lease */
};

/* ret_next_us: when to look again, for GOOD and HELD; never earlier than something can have changed by itself. */
enum lease_state lease_check(const struct lease *l, struct lease_hold hold, int64_t now_us, int64_t *ret_next_us);

/* When it ends if nobody uses it from now on; 0: not as long as what holds it lasts. */
int64_t lease_expires_us(const struct lease *l, struct lease_hold hold, int64_t now_us);

/* "idle for 30 min", "its lease of 2 h ended". */
void lease_write_reason(const struct lease *l, enum lease_state state, char *ret, size_t size);
/* "30 min", "2 h", "90 s", "1 h 30 min". */
void lease_write_seconds(int64_t seconds, char *ret, size_t size);

#endif
