/* usage.h - what the sandbox uses, read from its cgroup through files held open. The figures are the sandbox's. */
#ifndef SANDBOX_USAGE_H
#define SANDBOX_USAGE_H

#include "base/buf.h"
#include "base/err.h"

struct usage;

struct usage_sample {
    uint64_t cpu_us, memory_bytes, memory_peak_bytes, memory_limit_bytes, pids, oom_kills;
};

/* `spec` is the keeper's {"version":1|2,"memory":DIR,"cpu":DIR,"pids":DIR}; a file that is not there
 * reads as 0. Opens everything now: afterwards no path is needed. */
struct usage *usage_new(struct slice spec);
void usage_free(struct usage *u);
DEFINE_CLEANUP(struct usage, usage_free)

void usage_read(struct usage *u, struct usage_sample *ret); /* all six, one pread each */
uint64_t usage_read_cpu_us(struct usage *u);
uint64_t usage_read_oom_kills(struct usage *u);

/* Appends LINK_USAGE's members without braces. */
void usage_write(struct buf *out, const struct usage_sample *s);

#endif
