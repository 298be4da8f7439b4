#include "cmd/bridge_lines.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/json.h"

#define READ_BYTES  65536
#define WRITE_BYTES 65536
#define MAX_WRITES  64         /* in one turn: then it is another's */
#define KEPT_BYTES  (1u << 20) /* of memory, from one line to the next */

/* ---- from the client ---- */

void bridge_input_init(struct bridge_input *in, int fd)
{
    *in = (struct bridge_input){ .fd = fd };
    buf_init(&in->line, BRIDGE_MAX_LINE);
}

void bridge_input_done(struct bridge_input *in)
{
    buf_done(&in->line);
}

static void end_line(struct bridge_input *in, bridge_line_fn *on_line, void *arg)
{
    struct slice line = buf_slice(&in->line);

    if (line.len && line.data[line.len - 1] == '\r')
        line.len--;
    line = slice_trim(line);
    if (in->line.failed)
        on_line(arg, slice_of(NULL, 0));
    else if (line.len)
        on_line(arg, line);
    if (in->line.failed || in->line.capacity > KEPT_BYTES)
        buf_done(&in->line);
    else
        buf_reset(&in->line);
}

void bridge_input_read(struct bridge_input *in, bridge_line_fn *on_line, void *arg)
{
    char bytes[READ_BYTES];
    ssize_t n = read(in->fd, bytes, sizeof bytes);

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        in->has_ended = true;
        end_line(in, on_line, arg);
        return;
    }
    for (const char *at = bytes, *end = bytes + n; at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        buf_add(&in->line, at, (size_t)((newline ? newline : end) - at));
        if (newline)
            end_line(in, on_line, arg);
        at = newline ? newline + 1 : end;
    }
}

/* ---- to the client ---- */

void bridge_output_init(struct bridge_output *out, int fd)
{
    struct stat st;

    *out = (struct bridge_output){ .fd = fd,
                                   .is_socket = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) };
    buf_init(&out->queue, BRIDGE_MAX_QUEUE);
}

void bridge_output_done(struct bridge_output *out)
{
    buf_done(&out->queue);
}

size_t bridge_output_pending(const struct bridge_output *out)
{
    return out->queue.len - out->at;
}

void bridge_output_add(struct bridge_output *out, struct slice text)
{
    if (out->is_broken)
        return;
    if (out->at == out->queue.len || out->at > out->queue.capacity / 2) {
        buf_drop(&out->queue, out->at);
        out->at = 0;
    }
    if (memchr(text.data, '\n', text.len) || memchr(text.data, '\r', text.len))
        (void)json_splice(&out->queue, text); /* it was checked */
    else
        buf_add_slice(&out->queue, text);
    buf_add_char(&out->queue, '\n');
    out->is_broken = out->queue.failed;
}

/* The descriptor is somebody else's too, so it is not made non-blocking. A pipe that polls writable has room for PIPE_BUF bytes. */
static ssize_t write_some(const struct bridge_output *out)
{
    struct pollfd p = { .fd = out->fd, .events = POLLOUT };
    const char *from = out->queue.data + out->at;
    size_t n = bridge_output_pending(out);

    if (out->is_socket)
        return send(out->fd, from, n < WRITE_BYTES ? n : WRITE_BYTES, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (poll(&p, 1, 0) <= 0) {
        errno = EAGAIN;
        return -1;
    }
    return write(out->fd, from, n < PIPE_BUF ? n : PIPE_BUF);
}

void bridge_output_write(struct bridge_output *out)
{
    for (unsigned i = 0; i < MAX_WRITES && bridge_output_pending(out) > 0; i++) {
        ssize_t n = write_some(out);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            out->is_broken = true;
        if (n < 0)
            return;
        out->at += (size_t)n;
    }
}
