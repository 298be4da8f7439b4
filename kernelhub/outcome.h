/* outcome.h - the truth about an ending: from what kernel, warden and cgroup said to one status. Pure. */
#ifndef KERNELHUB_OUTCOME_H
#define KERNELHUB_OUTCOME_H

#include "base/buf.h"
#include "protocol/event_record.h"

#define OUTCOME_NO_CODE (-1000) /* exit_code null */

/* What execute_reply said, kept as JSON in the store, so that it outlives the hub. */
struct outcome_reply {
    bool seen;
    char status[16]; /* ok, error, aborted, abort */
    char ename[64];
    char evalue[64];
    int64_t execution_count; /* -1: none */
    int64_t exit_code;       /* a shell's last status; OUTCOME_NO_CODE: not said */
};

void outcome_read_reply(struct slice content, struct outcome_reply *ret); /* of an execute_reply */
void outcome_write_reply(const struct outcome_reply *r, struct buf *out);
void outcome_parse_reply(struct slice json, struct outcome_reply *ret); /* what outcome_write_reply wrote */

/* What the warden said (LINK_END). */
struct outcome_end {
    char how[16]; /* done, killed, died, lost */
    bool complete, interrupted, timed_out, oom;
    int64_t exit_code, signal; /* OUTCOME_NO_CODE: null */
    int64_t duration_us;
    int64_t cpu_us, memory_bytes, memory_peak_bytes, pids;
};

/* An end that no warden measured: nothing is known but `how`. */
void outcome_end_unseen(struct outcome_end *ret, const char *how);
bool outcome_read_end(struct slice json, struct outcome_end *ret);

struct outcome {
    enum status status;
    int64_t exit_code; /* OUTCOME_NO_CODE: null */
    const char *reason; /* a sentence, or NULL */
};

struct outcome outcome_of(const struct outcome_reply *reply, const struct outcome_end *end, bool saw_error);

/* A command's: exit_code is its own status or 128 + signal, 124 past the time limit, 137 out of memory. */
struct outcome outcome_of_command(const struct outcome_end *end);

#endif
