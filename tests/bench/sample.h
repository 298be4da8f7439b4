/* sample.h - what one measured execution gave. */
#ifndef BENCH_SAMPLE_H
#define BENCH_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

struct sample {
    int64_t us; /* from just before the request's first byte to just after the answer's last */
    int64_t first_us; /* to the first byte, or the first message, of the answer */
    int64_t bytes;    /* of the answer as it came over the wire, without HTTP's head */
    int64_t messages; /* iopub messages, or events */
    /* REST only, as the hub says: to the order's sending, the warden's time, all; -1 unknown */
    int64_t queued_us, kernel_us, total_us;
};

int64_t sample_now_us(void);

/* Says why on stderr and ends with 1. */
_Noreturn void sample_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
