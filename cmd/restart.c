#include "cmd/restart.h"

void restart_started(struct restart *r, int64_t now_ms)
{
    r->started_ms = now_ms;
}

int64_t restart_after_death(struct restart *r, bool asked, int64_t now_ms)
{
    if (asked && now_ms - r->started_ms >= RESTART_LIFE_MS)
        return 0;
    if (now_ms - r->started_ms >= RESTART_HEALTHY_MS)
        r->deaths = 0;
    unsigned before = r->deaths++;
    if (before == 0)
        return 0;
    if (before > 6)
        return RESTART_MAX_MS;
    int64_t wait_ms = (int64_t)RESTART_FIRST_MS << (before - 1);
    return wait_ms < RESTART_MAX_MS ? wait_ms : RESTART_MAX_MS;
}
