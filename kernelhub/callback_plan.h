/* callback_plan.h - what an answer to a callback means, and when the next try is. Pure. */
#ifndef KERNELHUB_CALLBACK_PLAN_H
#define KERNELHUB_CALLBACK_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define CALLBACK_PLAN_DICE 1024 /* `dice` is from 0 to one less */

struct callback_plan {
    int64_t first_us; /* until the second try */
    unsigned max_attempts;
};

enum callback_verdict { CALLBACK_DELIVERED, CALLBACK_FINAL, CALLBACK_AGAIN };

/* e: nobody answered (status is 0). */
enum callback_verdict callback_plan_judge(const struct err *e, int status);

/* After so many attempts: four times as long each time, at most an hour, a fifth more or less by `dice`; not before retry_after (in
 * seconds, an hour counts at most). */
int64_t callback_plan_wait_us(const struct callback_plan *p, unsigned attempts, int64_t retry_after, uint32_t dice);

/* No more tries: as many as there may be, or the next one would be more than 24 hours after the first. */
bool callback_plan_is_over(const struct callback_plan *p, unsigned attempts, int64_t age_us);

#endif
