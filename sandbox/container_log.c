#include "sandbox/container_log.h"

static bool word(struct slice *rest, struct slice *ret)
{
    const char *end = rest->len ? memchr(rest->data, ' ', rest->len) : NULL;
    if (!end)
        return false;
    *ret = slice_of(rest->data, (size_t)(end - rest->data));
    *rest = slice_of(end + 1, rest->len - ret->len - 1);
    return true;
}

static void decode_line(struct slice line, enum container_log_stream which, struct buf *out)
{
    struct slice time, stream, mark;
    if (!word(&line, &time) || !word(&line, &stream) || !word(&line, &mark))
        return;
    unsigned is = slice_is(stream, "stdout")   ? CONTAINER_LOG_STDOUT
                  : slice_is(stream, "stderr") ? CONTAINER_LOG_STDERR
                                               : 0u;
    bool full = slice_is(mark, "F");
    if (!(is & which) || (!full && !slice_is(mark, "P")))
        return;
    buf_add_slice(out, line);
    if (full)
        buf_add_char(out, '\n');
}

void container_log_decode(struct slice file, enum container_log_stream which, struct buf *out)
{
    while (file.len > 0) {
        const char *end = memchr(file.data, '\n', file.len);
        if (!end)
            return;
        size_t len = (size_t)(end - file.data);
        decode_line(slice_of(file.data, len), which, out);
        file = slice_of(end + 1, file.len - len - 1);
    }
}

void container_log_tail(struct slice text, char *ret, size_t size)
{
    while (text.len > 0 && (unsigned char)text.data[text.len - 1] <= ' ')
        text.len--;
    size_t from = text.len >= size ? text.len - size + 1 : 0, n = 0;
    for (size_t i = from; i < text.len; i++)
        ret[n++] = text.data[i] >= ' ' && text.data[i] < 127 ? text.data[i] : ' ';
    ret[n] = '\0';
}
