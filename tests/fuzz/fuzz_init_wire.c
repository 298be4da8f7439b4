/* Property: what init_decode, init_decode_start and init_decode_exec accept is encoded to the same bytes again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/init_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct init_packet p;
    if (!init_decode(data, size, &p))
        return 0;
    char *again = malloc(size);
    check(init_encode(&p, again, size) == size && !memcmp(again, data, size));
    if (size > INIT_HEADER_BYTES)
        check(init_encode(&p, again, size - 1) == 0);
    struct init_start s;
    if ((p.type == INIT_START && init_decode_start(p.payload, p.payload_len, &s)) ||
        ((p.type == INIT_EXEC || p.type == INIT_TERMINAL) &&
         init_decode_exec(p.payload, p.payload_len, &s))) {
        check(init_encode_start(&s, again, size) == p.payload_len);
        check(!memcmp(again, p.payload, p.payload_len));
        check(init_encode_start(&s, again, p.payload_len - 1) == 0);
    }
    free(again);
    return 0;
}
