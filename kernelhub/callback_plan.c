#include "kernelhub/callback_plan.h"

#define SECOND_US 1000000ll
#define HOUR_US   (3600 * SECOND_US)
#define MAX_AGE   (24 * HOUR_US)

enum callback_verdict callback_plan_judge(const struct err *e, int status)
{
    if (e)
        return e->code == ERR_POLICY ? CALLBACK_FINAL : CALLBACK_AGAIN;
    if (status >= 200 && status <= 299)
        return CALLBACK_DELIVERED;
    bool passes = status == 408 || status == 425 || status == 429;
    return status >= 400 && status <= 499 && !passes ? CALLBACK_FINAL : CALLBACK_AGAIN;
}

int64_t callback_plan_wait_us(const struct callback_plan *p, unsigned attempts, int64_t retry_after,
                              uint32_t dice)
{
    int64_t wait = p->first_us;
    for (unsigned i = 1; i < attempts && wait < HOUR_US; i++)
        wait *= 4;
    wait = wait < HOUR_US ? wait : HOUR_US;
    wait = wait * 4 / 5 + wait * 2 / 5 * (int64_t)dice / CALLBACK_PLAN_DICE;
    int64_t asked = retry_after < HOUR_US / SECOND_US ? retry_after * SECOND_US : HOUR_US;
    return asked > wait ? asked : wait;
}

bool callback_plan_is_over(const struct callback_plan *p, unsigned attempts, int64_t age_us)
{
    return attempts >= p->max_attempts || age_us > MAX_AGE;
}
