#include "kernelhub/files_path.h"

#include "base/json_chars.h"
#include "base/log.h"

/* U+EF80 to U+EFFF: what stands for a byte from 0x80 on, its last eight bits. */
static bool is_escape(const unsigned char *s, size_t n)
{
    return n == 3 && s[0] == 0xee && (s[1] & 0xfe) == 0xbe;
}

void files_path_write(struct slice bytes, struct buf *out)
{
    const unsigned char *s = (const unsigned char *)bytes.data;
    for (size_t i = 0; i < bytes.len;) {
        size_t n = json_chars_utf8(s + i, s + bytes.len);
        if (n > 0 && !is_escape(s + i, n)) {
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
        size_t n = json_chars_utf8(s + i, s + text.len);
        if (n == 0)
            return err_set(e, ERR_INVALID, "the path is not UTF-8");
        if (s[i] == 0)
            return err_set(e, ERR_INVALID, "a path cannot hold a NUL");
        if (is_escape(s + i, n))
            buf_add_char(out, (char)(s[i + 1] << 6 | (s[i + 2] & 0x3f)));
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
