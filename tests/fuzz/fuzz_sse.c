/* Properties: sse_parse_id takes plain decimal numbers alone, and gives back what sse_write_event wrote as the id. */
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t seq, again;
    if (!sse_parse_id(slice_of(data, size), &seq))
        return 0;
    for (size_t i = 0; i < size; i++)
        check(isdigit(data[i]));
    check(seq < UINT64_C(1) << 63);
    CLEANUP_BUF struct buf out = BUF_INIT(1000);
    sse_write_event(&out, seq, SLICE_LITERAL("{}"));
    check(out.len > 4 && memcmp(out.data, "id: ", 4) == 0);
    check(sse_parse_id(slice_of(out.data + 4, strcspn(out.data + 4, "\n")), &again) &&
          again == seq);
    return 0;
}
