#include "sandbox/kernelspecs.h"

#include <ctype.h>

#include "base/json.h"

static bool is_name(struct slice s)
{
    if (s.len == 0 || s.len > KERNELSPECS_MAX_NAME || s.data[0] == '.')
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!isalnum((unsigned char)s.data[i]) && !memchr("._-", s.data[i], 3))
            return false;
    return true;
}

static bool until_nul(struct slice *rest, struct slice *ret)
{
    const char *end = rest->len ? memchr(rest->data, '\0', rest->len) : NULL;
    if (!end)
        return false;
    *ret = slice_of(rest->data, (size_t)(end - rest->data));
    *rest = slice_of(end + 1, rest->len - ret->len - 1);
    return true;
}

static bool to_length(struct slice digits, size_t *ret)
{
    size_t n = 0;
    if (digits.len == 0 || digits.len > 6)
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return false;
        n = n * 10 + (size_t)(digits.data[i] - '0');
    }
    *ret = n;
    return n > 0 && n <= KERNELSPECS_MAX_JSON_BYTES;
}

static bool seen_before(const struct slice *names, size_t n, struct slice name)
{
    for (size_t i = 0; i < n; i++)
        if (slice_equal(names[i], name))
            return true;
    return false;
}

bool kernelspecs_parse(struct slice printed, struct buf *out)
{
    struct slice names[KERNELSPECS_MAX];
    size_t n = 0, begin = out->len;
    buf_add_char(out, '{');
    while (printed.len > 0) {
        struct slice name, digits;
        size_t len;
        if (n == KERNELSPECS_MAX || !until_nul(&printed, &name) || !is_name(name) ||
            seen_before(names, n, name) || !until_nul(&printed, &digits) ||
            !to_length(digits, &len) || len > printed.len)
            return false;
        struct slice spec = slice_of(printed.data, len);
        printed = slice_of(printed.data + len, printed.len - len);
        if (!json_valid(spec) || json_type(spec) != JSON_OBJECT)
            return false;
        if (n > 0)
            buf_add_char(out, ',');
        json_quote(out, name);
        buf_add_char(out, ':');
        (void)json_splice(out, spec); /* it is valid */
        names[n++] = name;
    }
    buf_add_char(out, '}');
    return !out->failed && out->len - begin <= KERNELSPECS_MAX_BYTES;
}

bool kernelspecs_valid(struct slice object)
{
    if (object.len > KERNELSPECS_MAX_BYTES || !json_valid(object) ||
        json_type(object) != JSON_OBJECT)
        return false;
    struct json_iter it = json_iter(object);
    while (json_next(&it))
        if (!is_name(it.key) || json_type(it.value) != JSON_OBJECT)
            return false;
    return true;
}
