#include "protocol/kernel_ws.h"

#include <endian.h>
#include <string.h>

#include "base/json.h"

enum { N_PARTS = 4 };       /* header, parent_header, metadata, content */
enum { FRAME_BYTES = 200 }; /* what either protocol writes around them */

static const struct slice NOTHING = { "{}", 2 };

static bool read_channel(struct slice name, enum link_channel *ret)
{
    for (int c = LINK_SHELL; c < LINK_N_CHANNELS; c++)
        if (slice_is(name, link_channel_name((enum link_channel)c))) {
            *ret = (enum link_channel)c;
            return true;
        }
    return false;
}

/* Of v1 a part may be empty, as a kernel's may. */
static bool read_object(struct slice part, struct slice *ret)
{
    bool is_none = part.len == 0 || json_type(part) == JSON_NULL;
    *ret = is_none ? NOTHING : part;
    return is_none || json_type(part) == JSON_OBJECT;
}

static bool read_names(struct kernel_ws_message *ret)
{
    return ret->m.header.len <= KERNEL_WS_MAX_HEADER_BYTES &&
           jupyter_read_header(ret->m.header, &ret->names) && ret->names.msg_id[0] &&
           ret->names.msg_type[0];
}

/* ---- default ---- */

static bool read_json(struct slice text, struct kernel_ws_message *ret)
{
    struct jupyter_message *m = &ret->m;
    struct slice channel = SLICE_LITERAL("shell");
    if (!json_valid(text) || json_type(text) != JSON_OBJECT)
        return false;
    m->header = m->parent = m->metadata = m->content = slice_of(NULL, 0);
    struct json_iter it = json_iter(text);
    while (json_next(&it)) {
        struct slice *to = slice_is(it.key, "header")          ? &m->header
                           : slice_is(it.key, "parent_header") ? &m->parent
                           : slice_is(it.key, "metadata")      ? &m->metadata
                           : slice_is(it.key, "content")       ? &m->content
                                                               : NULL;
        if (to)
            *to = it.value;
        else if (slice_is(it.key, "channel") && json_type(it.value) == JSON_STRING)
            channel = slice_of(it.value.data + 1, it.value.len - 2);
    }
    return read_channel(channel, &ret->channel) && read_object(m->header, &m->header) &&
           read_object(m->parent, &m->parent) && read_object(m->metadata, &m->metadata) &&
           read_object(m->content, &m->content);
}

static uint64_t number_at(enum kernel_ws protocol, struct slice frame, size_t i)
{
    uint32_t small;
    uint64_t large;
    if (protocol == KERNEL_WS_V1) {
        memcpy(&large, frame.data + 8 * i, sizeof large);
        return le64toh(large);
    }
    memcpy(&small, frame.data + 4 * i, sizeof small);
    return be32toh(small);
}

/* Cuts what stands behind the table of offsets. False unless the first part follows the table and each the one before it. */
static bool cut(enum kernel_ws protocol, struct slice frame, struct slice *ret, size_t max,
                size_t *ret_n)
{
    size_t unit = protocol == KERNEL_WS_V1 ? 8 : 4;
    size_t ends = protocol == KERNEL_WS_V1; /* its table has the end of the last part too */
    if (frame.len < unit)
        return false;
    uint64_t n = number_at(protocol, frame, 0);
    if (n <= ends || n - ends > max || frame.len < unit * (n + 1) ||
        number_at(protocol, frame, 1) != unit * (n + 1))
        return false;
    for (size_t i = 0; i < n - ends; i++) {
        bool is_last = i + 1 == n - ends;
        uint64_t from = number_at(protocol, frame, i + 1);
        uint64_t to = is_last && !ends ? frame.len : number_at(protocol, frame, i + 2);
        if (from > to || to > frame.len || (is_last && to != frame.len))
            return false;
        ret[i] = slice_of(frame.data + from, to - from);
    }
    *ret_n = n - ends;
    return true;
}

static void take_buffers(struct jupyter_message *m, const struct slice *buffers, size_t n)
{
    m->n_buffers = n;
    for (size_t i = 0; i < n; i++)
        m->buffers[i] = buffers[i];
}

static bool read_default(bool is_binary, struct slice frame, struct kernel_ws_message *ret)
{
    struct slice parts[1 + JUPYTER_MAX_BUFFERS];
    size_t n;
    ret->m.n_buffers = 0;
    if (!is_binary)
        return read_json(frame, ret);
    if (!cut(KERNEL_WS_DEFAULT, frame, parts, 1 + JUPYTER_MAX_BUFFERS, &n) ||
        !read_json(parts[0], ret))
        return false;
    take_buffers(&ret->m, parts + 1, n - 1);
    return true;
}

static void write_json(struct buf *out, enum link_channel channel, const struct slice *parts,
                       bool has_buffers)
{
    struct slice msg_id = { 0 }, msg_type = { 0 };
    (void)json_member_string(parts[0], "msg_id", &msg_id); /* a missing one is empty */
    (void)json_member_string(parts[0], "msg_type", &msg_type);
    buf_add_str(out, "{\"header\":");
    buf_add_slice(out, parts[0]);
    buf_add_str(out, ",\"msg_id\":\"");
    buf_add_slice(out, msg_id);
    buf_add_str(out, "\",\"msg_type\":\"");
    buf_add_slice(out, msg_type);
    buf_add_str(out, "\",\"parent_header\":");
    buf_add_slice(out, parts[1]);
    buf_add_str(out, ",\"metadata\":");
    buf_add_slice(out, parts[2]);
    buf_add_str(out, ",\"content\":");
    buf_add_slice(out, parts[3]);
    buf_add_str(out, has_buffers ? ",\"channel\":\"" : ",\"buffers\":[],\"channel\":\"");
    buf_add_str(out, link_channel_name(channel));
    buf_add_str(out, "\"}");
}

static void put_u32be(char *at, uint64_t v)
{
    uint32_t raw = htobe32((uint32_t)v);
    memcpy(at, &raw, sizeof raw);
}

static void write_default_binary(struct buf *out, enum link_channel channel,
                                 const struct slice *parts, size_t n_parts)
{
    size_t begin = out->len, n = n_parts - N_PARTS + 1;
    if (!buf_room(out, 4 * (n + 1)))
        return;
    out->len += 4 * (n + 1);
    write_json(out, channel, parts, true);
    size_t at = out->len - begin;
    for (size_t i = N_PARTS; i < n_parts; i++)
        buf_add_slice(out, parts[i]);
    if (out->failed)
        return;
    char *table = out->data + begin;
    put_u32be(table, n);
    put_u32be(table + 4, 4 * (n + 1));
    for (size_t i = N_PARTS; i < n_parts; i++) {
        put_u32be(table + 4 * (i - N_PARTS + 2), at);
        at += parts[i].len;
    }
}

/* ---- v1 ---- */

static bool read_v1(struct slice frame, struct kernel_ws_message *ret)
{
    struct slice parts[1 + N_PARTS + JUPYTER_MAX_BUFFERS];
    struct jupyter_message *m = &ret->m;
    struct slice *to[N_PARTS] = { &m->header, &m->parent, &m->metadata, &m->content };
    size_t n;
    if (!cut(KERNEL_WS_V1, frame, parts, 1 + N_PARTS + JUPYTER_MAX_BUFFERS, &n) ||
        n < 1 + N_PARTS || !read_channel(parts[0], &ret->channel))
        return false;
    for (size_t i = 0; i < N_PARTS; i++)
        if ((parts[i + 1].len && !json_valid(parts[i + 1])) || !read_object(parts[i + 1], to[i]))
            return false;
    take_buffers(m, parts + 1 + N_PARTS, n - 1 - N_PARTS);
    return true;
}

static void add_u64le(struct buf *out, uint64_t v)
{
    uint64_t raw = htole64(v);
    buf_add(out, &raw, sizeof raw);
}

static void write_v1(struct buf *out, enum link_channel channel, const struct slice *parts,
                     size_t n_parts)
{
    const struct slice name = slice_str(link_channel_name(channel));
    uint64_t n = n_parts + 2, at = 8 * (n + 1);
    add_u64le(out, n);
    add_u64le(out, at);
    add_u64le(out, at += name.len);
    for (size_t i = 0; i < n_parts; i++)
        add_u64le(out, at += parts[i].len);
    buf_add_slice(out, name);
    for (size_t i = 0; i < n_parts; i++)
        buf_add_slice(out, parts[i]);
}

/* ---- both ---- */

bool kernel_ws_read(enum kernel_ws protocol, bool is_binary, struct slice frame,
                    struct kernel_ws_message *ret)
{
    bool ok = protocol == KERNEL_WS_V1 ? is_binary && read_v1(frame, ret)
                                       : read_default(is_binary, frame, ret);
    return ok && read_names(ret);
}

/* At most: so that the buffer is made once. */
static size_t frame_bytes(const struct slice *parts, size_t n_parts)
{
    size_t n = FRAME_BYTES + parts[0].len + 8 * n_parts; /* the header's names stand there twice */
    for (size_t i = 0; i < n_parts; i++)
        n += parts[i].len;
    return n;
}

bool kernel_ws_write(struct buf *out, enum kernel_ws protocol, enum link_channel channel,
                     const struct slice *parts, size_t n_parts)
{
    if (!buf_room(out, frame_bytes(parts, n_parts)))
        return protocol == KERNEL_WS_V1;
    if (protocol == KERNEL_WS_V1) {
        write_v1(out, channel, parts, n_parts);
        return true;
    }
    if (n_parts > N_PARTS) {
        write_default_binary(out, channel, parts, n_parts);
        return true;
    }
    write_json(out, channel, parts, false);
    return false;
}

size_t kernel_ws_text_bytes(const struct slice *parts)
{
    return frame_bytes(parts, N_PARTS);
}
