#include "protocol/sse.h"

void sse_write_event(struct buf *out, uint64_t seq, struct slice line)
{
    buf_addf(out, "id: %llu\ndata: ", (unsigned long long)seq);
    buf_add_slice(out, line);
    buf_add_str(out, "\n\n");
}

void sse_write_ping(struct buf *out)
{
    buf_add_str(out, ": ping\n\n");
}

bool sse_parse_id(struct slice text, uint64_t *ret)
{
    uint64_t v = 0;
    if (text.len == 0 || text.len > 18)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(text.data[i] - '0');
    }
    *ret = v;
    return true;
}
