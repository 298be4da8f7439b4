/* Property: a stream cut at any place gives the same frames; a request that is accepted is encoded to one
 * that decodes to the same again; a reply that is accepted has an id or an event. The first byte cuts. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/frame.h"
#include "protocol/verb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_request(struct slice body)
{
    struct verb_request r, again;
    struct err e = ERR_INIT;
    if (verb_decode_request(body, &r, &e) != DECODE_OK)
        return;
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 16);
    verb_encode_request(&out, &r);
    struct slice frame;
    size_t used;
    check(frame_decode(buf_slice(&out), VERB_MAX_FRAME_BYTES, &frame, &used) == DECODE_OK &&
          used == out.len);
    enum decode d = verb_decode_request(frame, &again, &e);
    /* cpus goes out with three digits: what is below that becomes 0, which no request may have. */
    check(d == DECODE_OK || (r.verb == VERB_CREATE && r.limits.cpus < 0.001));
    if (d != DECODE_OK)
        return;
    check(again.id == r.id && again.verb == r.verb && again.version == r.version);
    check(uuid_equal(&again.build_id, &r.build_id) && strcmp(again.language, r.language) == 0);
    check(uuid_equal(&again.sandbox_id, &r.sandbox_id) && strcmp(again.user_id, r.user_id) == 0);
    check(strcmp(again.template_name, r.template_name) == 0 &&
          again.private_workspace == r.private_workspace);
    check(again.limits.memory_bytes == r.limits.memory_bytes && again.limits.pids == r.limits.pids);
    check(again.limits.workspace_bytes == r.limits.workspace_bytes &&
          fabs(again.limits.cpus - r.limits.cpus) < 0.001);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct slice stream = slice_of(data + 1, size - 1);
    while (stream.len > 0) {
        struct slice body, part;
        size_t used, used_part;
        enum decode d = frame_decode(stream, 4096, &body, &used);
        size_t cut = data[0] % (stream.len + 1);
        if (d == DECODE_OK)
            check(frame_decode(slice_of(stream.data, cut < used ? cut : used), 4096, &part,
                               &used_part) == (cut < used ? DECODE_MORE : DECODE_OK));
        if (d != DECODE_OK)
            break;
        check_request(body);
        struct verb_reply reply;
        if (verb_decode_reply(body, &reply) == DECODE_OK)
            check(reply.id > 0 || reply.event[0] != '\0' || slice_equal(reply.body, body));
        stream = slice_of(stream.data + used, stream.len - used);
    }
    return 0;
}
