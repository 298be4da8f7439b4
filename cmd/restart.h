/* restart.h - when a process that died is started again: at once, then later and later. */
#ifndef CMD_RESTART_H
#define CMD_RESTART_H

#include <stdbool.h>
#include <stdint.h>

#define RESTART_FIRST_MS   100
#define RESTART_MAX_MS     5000
#define RESTART_HEALTHY_MS 1000 /* alive that long: former deaths are forgotten */
#define RESTART_LIFE_MS    1000

struct restart {
    int64_t started_ms;
    unsigned deaths; /* in a row, each within RESTART_HEALTHY_MS of its start */
};

void restart_started(struct restart *r, int64_t now_ms);

/* The process died: how many milliseconds to wait before the next start. `asked`: it ended as it
 * was told to, which is no death unless it lived for less than RESTART_LIFE_MS. */
int64_t restart_after_death(struct restart *r, bool asked, int64_t now_ms);

#endif
