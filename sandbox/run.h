/* run.h - one execution as the warden sees it: when it is late, and when it is over. No clock, no socket: the
 * time comes in as an argument and what is to be done goes out as a value. */
#ifndef SANDBOX_RUN_H
#define SANDBOX_RUN_H

#include <stdint.h>

#include "base/uuid.h"

enum run_state {
    RUN_QUEUED,    /* sent, but others of the same kernel come first: no deadline yet */
    RUN_RUNNING,   /* its deadline runs */
    RUN_LATE,      /* past its deadline, an interrupt was sent, the grace runs */
    RUN_CONDEMNED, /* heeded no interrupt: the kernel is being killed */
    RUN_CLOSING,   /* idle or reply seen, the other one has RUN_OTHER_MS */
    RUN_SETTLING,  /* both seen, output of a kernel that publishes late may come */
    RUN_OVER
};

enum run_action { RUN_NOTHING, RUN_INTERRUPT, RUN_KILL, RUN_END };

#define RUN_OTHER_MS     2000 /* after idle for the reply, after the reply for idle or further output */
#define RUN_OTHER_MAX_MS 30000 /* however much output comes */

/* An interrupt that finds a kernel between messages is ignored, one that finds it on its way into the code makes it forget the reply
 * (ipykernel 7: kernelbase.py, dispatch_shell). So it waits until the kernel has said that it is at the code, and a moment longer. */
#define RUN_TO_CODE_MS      500 /* behind the turn; some never say it */
#define RUN_INTO_CODE_MS    10
#define RUN_FORGOT_REPLY_MS 500 /* after idle, when it was interrupted */

struct run {
    struct uuid execution_id, kernel_id;
    char *key; /* run_table.h's */
    enum run_state state;
    int64_t due_ms; /* the end of the state; 0: none */
    int64_t timeout_ms, grace_ms, settle_ms;
    int64_t closing_until_ms;
    int64_t turn_ms, code_ms; /* its turn began; the kernel is at the code (at_code) */
    int64_t interrupt_ms;     /* an interrupt is to be sent then; 0: none waits */
    bool at_code;             /* the kernel said more of it than that it is busy */
    bool idle, reply, interrupted, timed_out;
    bool busy; /* the kernel began it, as far as it said so */
    /* what END tells */
    int64_t arrived_us, sent_us, first_us; /* monotonic; first_us 0: nothing came yet */
    uint64_t cpu_us, oom_kills;            /* the sandbox's, when its turn began */
};

/* Nothing else is outstanding, or all before it are over. */
enum run_action run_on_turn(struct run *r, int64_t now_ms);
enum run_action run_on_busy(struct run *r, int64_t now_ms);
enum run_action run_on_output(struct run *r, int64_t now_ms); /* any other iopub message of it */
enum run_action run_on_idle(struct run *r, int64_t now_ms);
enum run_action run_on_reply(struct run *r, int64_t now_ms);
enum run_action run_on_due(struct run *r, int64_t now_ms);
/* Somebody wants it interrupted: RUN_INTERRUPT when that may be now, else run_on_due will say it. */
enum run_action run_on_interrupt(struct run *r, int64_t now_ms);
int64_t run_due_ms(const struct run *r); /* when run_on_due() is to be called; 0: never */

static inline bool run_is_current(const struct run *r)
{
    return r->state != RUN_QUEUED && r->state != RUN_OVER;
}

#endif
