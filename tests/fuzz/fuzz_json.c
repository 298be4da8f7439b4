/* Properties: what json_valid takes, json_splice makes one valid line of, and the same line again; what it refuses becomes a
 * valid string; json_quote makes a valid string of anything, and json_unescape gives back what went in. */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void walk(struct slice value, bool valid, int depth)
{
    struct json_iter it = json_iter(value);
    while (json_next(&it)) {
        check(it.value.data >= value.data &&
              it.value.data + it.value.len <= value.data + value.len);
        check(json_valid(it.value));
        if (depth < JSON_MAX_DEPTH)
            walk(it.value, valid, depth + 1);
    }
}

static void check_splice(struct slice text, bool valid)
{
    CLEANUP_BUF struct buf once = BUF_INIT(1 << 24), twice = BUF_INIT(1 << 24);
    check(json_splice(&once, text) == valid);
    check(json_valid(buf_slice(&once)));
    check(!memchr(once.data, '\n', once.len) && !memchr(once.data, '\r', once.len));
    check(json_splice(&twice, buf_slice(&once)));
    check(slice_equal(buf_slice(&once), buf_slice(&twice)));
}

static void check_quote(struct slice text)
{
    CLEANUP_BUF struct buf quoted = BUF_INIT(1 << 24), back = BUF_INIT(1 << 24),
                           again = BUF_INIT(1 << 24);
    json_quote(&quoted, text);
    check(json_valid(buf_slice(&quoted)));
    json_unescape(&back, slice_of(quoted.data + 1, quoted.len - 2));
    json_quote(&again, buf_slice(&back));
    check(slice_equal(buf_slice(&quoted), buf_slice(&again)));
    if (json_valid(text) &&
        !memchr(text.data, '\0', text.len)) /* then it is UTF-8: nothing was replaced */
        check(slice_equal(buf_slice(&back), text));
}

/* What is valid json_mend leaves alone; any bytes between quotes it makes a valid string. */
static void check_mend(struct slice text, bool valid)
{
    CLEANUP_BUF struct buf mended = BUF_INIT(1 << 24), string = BUF_INIT(1 << 24),
                           again = BUF_INIT(1 << 24);
    json_mend(&mended, text);
    check(mended.len <= 6 * text.len && (!valid || slice_equal(buf_slice(&mended), text)));
    buf_add_char(&string, '"');
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] != '"' && text.data[i] != '\\')
            buf_add_char(&string, text.data[i]);
    buf_add_char(&string, '"');
    json_mend(&again, buf_slice(&string));
    check(json_valid(buf_slice(&again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size), value;
    bool valid = json_valid(text), flag;
    int64_t n;
    char small[16];
    check_splice(text, valid);
    check_quote(text);
    check_mend(text, valid);
    walk(text, valid, 0);
    if (json_member(text, "a", &value))
        check(json_valid(value));
    (void)json_member_int(text, "n", &n);
    (void)json_member_bool(text, "b", &flag);
    (void)json_copy_string(text, small, sizeof small);
    free(json_member_dup(text, "s", 16));
    return 0;
}
