/* Property: what is accepted is one line of valid JSON that a record gives back. The log that it
 * comes out of is decoded on the way, whatever it is. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "sandbox/container_log.h"
#include "sandbox/kernelspecs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_printed(struct slice printed)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20), logos = BUF_INIT(1 << 20),
                           record = BUF_INIT(1 << 22);
    struct slice specs_again, logos_again;
    (void)kernelspecs_valid(printed); /* must not read outside */
    (void)kernelspecs_read_record(printed, &specs_again, &logos_again);
    if (!kernelspecs_parse(printed, &out, &logos))
        return;
    check(json_valid(buf_slice(&out)) && !memchr(out.data, '\n', out.len));
    check(json_valid(buf_slice(&logos)) && !memchr(logos.data, '\n', logos.len));
    kernelspecs_write_record(buf_slice(&out), buf_slice(&logos), &record);
    check(kernelspecs_read_record(buf_slice(&record), &specs_again, &logos_again));
    check(slice_equal(specs_again, buf_slice(&out)) && slice_equal(logos_again, buf_slice(&logos)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_BUF struct buf printed = BUF_INIT(1 << 20);
    char tail[40];
    container_log_decode(slice_of(data, size), CONTAINER_LOG_STDOUT, &printed);
    check(printed.len <= size);
    check_printed(buf_slice(&printed));
    check_printed(slice_of(data, size));
    container_log_tail(slice_of(data, size), tail, sizeof tail);
    check(strlen(tail) < sizeof tail);
    return 0;
}
