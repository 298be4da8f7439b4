#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

void buf_init(struct buf *b, size_t max_bytes)
{
    *b = (struct buf)BUF_INIT(max_bytes);
}

void buf_done(struct buf *b)
{
    free(b->data);
    *b = (struct buf)BUF_INIT(b->max_bytes);
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = false;
}

char *buf_room(struct buf *b, size_t n)
{
    if (b->failed)
        return NULL;
    if (n > b->max_bytes || b->len > b->max_bytes - n) {
        b->failed = true;
        return NULL;
    }
    size_t need = b->len + n + 1;
    if (need > b->capacity) {
        size_t capacity = b->capacity ? b->capacity * 2 : 256;
        if (capacity < need)
            capacity = need;
        char *data = realloc(b->data, capacity);
        if (!data) {
            b->failed = true;
            return NULL;
        }
        b->data = data;
        b->capacity = capacity;
    }
    return b->data + b->len;
}

void buf_add(struct buf *b, const void *data, size_t n)
{
    char *room = buf_room(b, n);
    if (!room)
        return;
    if (n)
        memcpy(room, data, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void buf_add_slice(struct buf *b, struct slice s)
{
    buf_add(b, s.data, s.len);
}

void buf_add_str(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_add_char(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_addf(struct buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *room = n < 0 ? NULL : buf_room(b, (size_t)n);
    if (room) {
        (void)vsnprintf(room, (size_t)n + 1, format, again); /* measured just above */
        b->len += (size_t)n;
    }
    va_end(again);
}

void buf_add_u32be(struct buf *b, uint32_t v)
{
    unsigned char raw[4] = { v >> 24, v >> 16, v >> 8, v };
    buf_add(b, raw, sizeof raw);
}

void buf_add_u64be(struct buf *b, uint64_t v)
{
    buf_add_u32be(b, (uint32_t)(v >> 32));
    buf_add_u32be(b, (uint32_t)v);
}

void buf_drop(struct buf *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
        return;
    }
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
    b->data[b->len] = '\0';
}

char *buf_take(struct buf *b)
{
    if (b->failed || (!b->data && !buf_room(b, 0)))
        return NULL;
    b->data[b->len] = '\0';
    char *data = b->data;
    b->data = NULL;
    buf_done(b);
    return data;
}
