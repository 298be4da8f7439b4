/* warden_report.h - the JSON of the warden's LINK_KERNEL and LINK_END frames. */
#ifndef SANDBOX_WARDEN_REPORT_H
#define SANDBOX_WARDEN_REPORT_H

#include "base/buf.h"
#include "sandbox/run.h"
#include "sandbox/usage.h"

/* How a process ended, as far as we know. */
struct warden_exit {
    bool known;
    int wait_status; /* waitpid(2) */
    bool oom;
};

struct warden_kernel_report {
    const char *state; /* starting, ready, dead */
    struct warden_exit exit;
    bool expected;
    const char *reason;  /* "": none */
    struct slice output; /* tail of what the process wrote itself */
    int64_t started_us, spawned_us, connected_us, ready_us; /* monotonic, 0: not reached */
};
void warden_report_kernel(struct buf *out, const struct warden_kernel_report *r);

enum warden_how { WARDEN_DONE, WARDEN_KILLED, WARDEN_DIED };

void warden_report_end(struct buf *out, enum warden_how how, const struct run *r, const struct warden_exit *x,
                       const struct usage_sample *now, int64_t now_us);

#endif
