#include "sandbox/run.h"

#include <assert.h>

#define TO(state) (1u << (state))

static const struct {
    const char *name;
    unsigned next;
} STATES[] = {
    [RUN_QUEUED] = { "queued", TO(RUN_RUNNING) | TO(RUN_CLOSING) | TO(RUN_OVER) },
    [RUN_RUNNING] = { "running", TO(RUN_LATE) | TO(RUN_CLOSING) | TO(RUN_OVER) },
    [RUN_LATE] = { "late", TO(RUN_CONDEMNED) | TO(RUN_CLOSING) | TO(RUN_OVER) },
    [RUN_CONDEMNED] = { "condemned", TO(RUN_OVER) },
    [RUN_CLOSING] = { "closing", TO(RUN_SETTLING) | TO(RUN_OVER) },
    [RUN_SETTLING] = { "settling", TO(RUN_OVER) },
    [RUN_OVER] = { "over", 0 },
};

/* wait_ms 0: the state has no time limit */
static void move(struct run *r, enum run_state to, int64_t now_ms, int64_t wait_ms)
{
    assert(STATES[r->state].next & TO(to));
    r->state = to;
    r->due_ms = wait_ms > 0 ? now_ms + wait_ms : 0;
}

enum run_action run_on_turn(struct run *r, int64_t now_ms)
{
    if (r->state == RUN_QUEUED) {
        r->turn_ms = now_ms;
        move(r, RUN_RUNNING, now_ms, r->timeout_ms);
    }
    return RUN_NOTHING;
}

enum run_action run_on_interrupt(struct run *r, int64_t now_ms)
{
    int64_t when_ms = r->at_code ? r->code_ms + RUN_INTO_CODE_MS : r->turn_ms + RUN_TO_CODE_MS;
    r->interrupted = true;
    r->interrupt_ms = now_ms < when_ms ? when_ms : 0;
    return r->interrupt_ms ? RUN_NOTHING : RUN_INTERRUPT;
}

enum run_action run_on_busy(struct run *r, int64_t now_ms)
{
    r->busy = true;
    return run_on_turn(r, now_ms);
}

enum run_action run_on_output(struct run *r, int64_t now_ms)
{
    if (!r->at_code) {
        r->at_code = true;
        r->code_ms = now_ms;
        if (r->interrupt_ms)
            r->interrupt_ms = now_ms + RUN_INTO_CODE_MS;
    }
    /* The reply came on another channel and may have overtaken much output: as long as that flows
     * the end is not lost, only late. */
    if (r->state == RUN_CLOSING && !r->idle) {
        r->due_ms = now_ms + RUN_OTHER_MS;
        if (r->due_ms > r->closing_until_ms)
            r->due_ms = r->closing_until_ms;
    }
    return RUN_NOTHING;
}

static enum run_action seen(struct run *r, int64_t now_ms)
{
    if (r->state == RUN_CONDEMNED || r->state == RUN_SETTLING || r->state == RUN_OVER)
        return RUN_NOTHING;
    r->interrupt_ms = 0;
    if (r->state != RUN_CLOSING) {
        bool may_have_forgotten = r->interrupted && r->idle;
        move(r, RUN_CLOSING, now_ms, may_have_forgotten ? RUN_FORGOT_REPLY_MS : RUN_OTHER_MS);
        r->closing_until_ms = now_ms + RUN_OTHER_MAX_MS;
    }
    if (!r->idle || !r->reply)
        return RUN_NOTHING;
    move(r, r->settle_ms > 0 ? RUN_SETTLING : RUN_OVER, now_ms, r->settle_ms);
    return r->state == RUN_OVER ? RUN_END : RUN_NOTHING;
}

enum run_action run_on_idle(struct run *r, int64_t now_ms)
{
    r->idle = true;
    return seen(r, now_ms);
}

enum run_action run_on_reply(struct run *r, int64_t now_ms)
{
    r->reply = true;
    return seen(r, now_ms);
}

int64_t run_due_ms(const struct run *r)
{
    return r->interrupt_ms && (!r->due_ms || r->interrupt_ms < r->due_ms) ? r->interrupt_ms
                                                                          : r->due_ms;
}

enum run_action run_on_due(struct run *r, int64_t now_ms)
{
    if (r->interrupt_ms && r->interrupt_ms <= now_ms) {
        r->interrupt_ms = 0;
        return RUN_INTERRUPT;
    }
    switch (r->state) {
    case RUN_RUNNING:
        r->timed_out = true;
        move(r, RUN_LATE, now_ms, r->grace_ms > 0 ? r->grace_ms : 1);
        return run_on_interrupt(r, now_ms);
    case RUN_LATE:
        move(r, RUN_CONDEMNED, now_ms, 0);
        return RUN_KILL;
    case RUN_CLOSING:
    case RUN_SETTLING:
        move(r, RUN_OVER, now_ms, 0);
        return RUN_END;
    case RUN_QUEUED:
    case RUN_CONDEMNED:
    case RUN_OVER:
        return RUN_NOTHING;
    }
    return RUN_NOTHING;
}
