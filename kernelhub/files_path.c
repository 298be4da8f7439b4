#include "kernelhub/files_path.h"

#include <stdint.h>

#include "base/log.h"

#define ESCAPE 0xef00 /* and a byte from 0x80 on */

/* Length and value of the UTF-8 sequence at s (Unicode table 3-7), 0 when it is none. */
static size_t sequence(const unsigned char *s, size_t left, uint32_t *ret)
{
    static const uint32_t LEAST[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n = s[0] < 0x80   ? 1
               : s[0] < 0xc2 ? 0
               : s[0] < 0xe0 ? 2
               : s[0] < 0xf0 ? 3
               : s[0] < 0xf5 ? 4
                             : 0;
    if (n == 0 || n > left)
        return 0;
    uint32_t v = n == 1 ? s[0] : s[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        v = v << 6 | (s[i] & 0x3f);
    }
    if (v < LEAST[n] || (v >= 0xd800 && v <= 0xdfff) || v > 0x10ffff)
        return 0;
    *ret = v;
    return n;
}

static bool is_escape(uint32_t v)
{
    return v >= (ESCAPE | 0x80) && v <= (ESCAPE | 0xff);
}

void files_path_write(struct slice bytes, struct buf *out)
{
    const unsigned char *s = (const unsigned char *)bytes.data;
    for (size_t i = 0; i < bytes.len;) {
        uint32_t v;
        size_t n = sequence(s + i, bytes.len - i, &v);
        if (n > 0 && !is_escape(v)) {
            buf_add(out, s + i, n);
            i += n;
            continue;
        }
        for (size_t k = 0; k < (n ? n : 1); k++, i++) {
            char escaped[] = { '\xee', (char)(0xbc | (s[i] >> 6 & 3)),
                               (char)(0x80 | (s[i] & 0x3f)) };
            buf_add(out, escaped, sizeof escaped);
        }
    }
}

/* Drops what may stand before and behind. */
static struct slice trim(struct slice text)
{
    static const char INSIDE[] = "/workspace";
    size_t n = sizeof INSIDE - 1;
    while (text.len > 1 && text.data[0] == '/' && text.data[1] == '/')
        text = slice_of(text.data + 1, text.len - 1);
    if (text.len >= n && memcmp(text.data, INSIDE, n) == 0 &&
        (text.len == n || text.data[n] == '/'))
        text = slice_of(text.data + n, text.len - n);
    while (text.len && text.data[0] == '/')
        text = slice_of(text.data + 1, text.len - 1);
    while (text.len && text.data[text.len - 1] == '/')
        text.len--;
    return text;
}

static int read_bytes(struct slice text, struct buf *out, struct err *e)
{
    const unsigned char *s = (const unsigned char *)text.data;
    for (size_t i = 0; i < text.len;) {
        uint32_t v;
        size_t n = sequence(s + i, text.len - i, &v);
        if (n == 0)
            return err_set(e, ERR_INVALID, "the path is not UTF-8");
        if (v == 0)
            return err_set(e, ERR_INVALID, "a path cannot hold a NUL");
        if (is_escape(v))
            buf_add_char(out, (char)(v & 0xff));
        else
            buf_add(out, s + i, n);
        i += n;
    }
    return out->failed ? err_set(e, ERR_INVALID, "the path is longer than %d bytes", FILES_MAX_PATH)
                       : 0;
}

static int check_names(struct slice path, struct err *e)
{
    while (path.len) {
        const char *slash = memchr(path.data, '/', path.len);
        struct slice name = slice_of(path.data, slash ? (size_t)(slash - path.data) : path.len);
        if (name.len == 0)
            return err_set(e, ERR_INVALID, "the path has an empty name in it");
        if (slice_is(name, ".") || slice_is(name, ".."))
            return err_set(e, ERR_INVALID, "the path has '.' or '..' in it");
        if (name.len > FILES_MAX_NAME)
            return err_set(e, ERR_INVALID, "a name in the path is longer than %d bytes",
                           FILES_MAX_NAME);
        path = slash ? slice_of(slash + 1, path.len - name.len - 1) : slice_of(NULL, 0);
    }
    return 0;
}

int files_path_read(struct slice text, char ret[FILES_MAX_PATH + 1], struct err *e)
{
    CLEANUP_BUF struct buf bytes = BUF_INIT(FILES_MAX_PATH), again = BUF_INIT(FILES_MAX_TEXT);
    text = trim(text);
    if (read_bytes(text, &bytes, e) < 0 || check_names(buf_slice(&bytes), e) < 0)
        return -1;
    files_path_write(buf_slice(&bytes), &again);
    if (!slice_equal(buf_slice(&again), text))
        return err_set(e, ERR_INVALID, "no file is written as %s", log_quote(text));
    if (bytes.len)
        memcpy(ret, bytes.data, bytes.len);
    ret[bytes.len] = '\0';
    return 0;
}

const char *files_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool files_path_is_hidden(const char *path)
{
    return path[0] == '.' || strstr(path, "/.") != NULL;
}
