/* buf.h - bytes that grow at the end, up to a ceiling chosen at birth. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/slice.h"

/* Embedded or on the stack. Once an append would pass max_bytes (or memory is gone) the buffer is
 * `failed`: it keeps what it has, and every later append does nothing. Check once, at the end. */
struct buf {
    char *data; /* always NUL-terminated once something was appended */
    size_t len;
    size_t capacity;
    size_t max_bytes;
    bool failed;
};

#define BUF_INIT(max) { .max_bytes = (max) }

void buf_init(struct buf *b, size_t max_bytes);
void buf_done(struct buf *b);  /* frees; the buffer can be used again */
void buf_reset(struct buf *b); /* len 0, memory kept */

char *buf_room(struct buf *b, size_t n); /* n writable bytes at the end, NULL when failed */
void buf_add(struct buf *b, const void *data, size_t n);
void buf_add_slice(struct buf *b, struct slice s);
void buf_add_str(struct buf *b, const char *s);
void buf_add_char(struct buf *b, char c);
void buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_add_u32be(struct buf *b, uint32_t v);
void buf_add_u64be(struct buf *b, uint64_t v);
void buf_drop(struct buf *b, size_t n); /* removes n bytes from the front */

char *buf_take(struct buf *b); /* the NUL-terminated bytes; the caller frees; NULL when failed */

static inline struct slice buf_slice(const struct buf *b)
{
    return slice_of(b->data, b->len);
}

static inline void buf_done_at(struct buf *b)
{
    buf_done(b);
}
/* `CLEANUP_BUF struct buf b = BUF_INIT(max);` */
#define CLEANUP_BUF __attribute__((cleanup(buf_done_at)))

#endif
