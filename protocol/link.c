#include "protocol/link.h"

#include "base/cleanup.h"
#include "protocol/frame.h"

#define FIXED_BYTES (1 + 1 + 2 + 8 + 16 + 16)

static const char *const CHANNELS[LINK_N_CHANNELS] = { "shell", "control", "stdin", "iopub" };

const char *link_channel_name(enum link_channel channel)
{
    return channel < LINK_N_CHANNELS ? CHANNELS[channel] : "?";
}

int link_choose_version(int64_t oldest, int64_t newest)
{
    int64_t best = newest < LINK_VERSION ? newest : LINK_VERSION;
    return best >= LINK_OLDEST_VERSION && best >= oldest ? (int)best : 0;
}

static bool known_type(unsigned type)
{
    return (type >= LINK_HELLO && type <= LINK_CREDIT) ||
           (type >= LINK_KERNEL && type <= LINK_STATE);
}

static uint64_t get_be(const unsigned char *at, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | at[i];
    return v;
}

enum decode link_decode(struct slice stream, struct link_frame *ret, size_t *ret_used)
{
    struct slice body;
    enum decode d = frame_decode(stream, LINK_MAX_FRAME_BYTES, &body, ret_used);
    if (d != DECODE_OK)
        return d;
    const unsigned char *at = (const unsigned char *)body.data;
    if (body.len < FIXED_BYTES || !known_type(at[0]) || at[1] >= LINK_N_CHANNELS)
        return DECODE_BAD;
    ret->type = (enum link_type)at[0];
    ret->channel = (enum link_channel)at[1];
    ret->n_parts = get_be(at + 2, 2);
    ret->number = get_be(at + 4, 8);
    ret->kernel_id = uuid_from_bytes(at + 12);
    ret->execution_id = uuid_from_bytes(at + 28);
    size_t lengths = ret->n_parts * 4;
    if (ret->n_parts > LINK_MAX_PARTS || body.len - FIXED_BYTES < lengths)
        return DECODE_BAD;
    size_t offset = FIXED_BYTES + lengths;
    for (size_t i = 0; i < ret->n_parts; i++) {
        size_t n = get_be(at + FIXED_BYTES + 4 * i, 4);
        if (n > body.len - offset)
            return DECODE_BAD;
        ret->parts[i] = slice_of(body.data + offset, n);
        offset += n;
    }
    return offset == body.len ? DECODE_OK : DECODE_BAD;
}

size_t link_encoded_bytes(const struct link_frame *f)
{
    size_t n = FRAME_HEADER_BYTES + FIXED_BYTES + 4 * f->n_parts;
    for (size_t i = 0; i < f->n_parts; i++)
        n += f->parts[i].len;
    return n;
}

void link_encode(struct buf *out, const struct link_frame *f)
{
    uint8_t id[16];
    size_t total = link_encoded_bytes(f);
    if (!buf_room(out, total))
        return;
    buf_add_u32be(out, (uint32_t)(total - FRAME_HEADER_BYTES));
    buf_add_char(out, (char)f->type);
    buf_add_char(out, (char)f->channel);
    buf_add_char(out, (char)(f->n_parts >> 8));
    buf_add_char(out, (char)f->n_parts);
    buf_add_u64be(out, f->number);
    uuid_to_bytes(&f->kernel_id, id);
    buf_add(out, id, sizeof id);
    uuid_to_bytes(&f->execution_id, id);
    buf_add(out, id, sizeof id);
    for (size_t i = 0; i < f->n_parts; i++)
        buf_add_u32be(out, (uint32_t)f->parts[i].len);
    for (size_t i = 0; i < f->n_parts; i++)
        buf_add_slice(out, f->parts[i]);
}
