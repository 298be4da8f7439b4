/* Patterns of file names, up to the first NUL; the path is behind it. Property: the answer is that of the definition, which tries
 * everything and so is for short inputs only. */
#include <stdint.h>
#include <stdlib.h>

#include "base/glob.h"

#define MAX_SLOW 16 /* bytes of either */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Sets, escapes and characters above ASCII are left to the tests: here all but '*', '?' and '/' stands for itself. */
static bool slow(struct slice p, struct slice s, bool at_name)
{
    bool is_folders = at_name && p.len >= 2 && p.data[0] == '*' && p.data[1] == '*' &&
                      (p.len == 2 || p.data[2] == '/');
    if (is_folders && p.len == 2)
        return s.len > 0;
    if (is_folders)
        for (size_t i = 0; i <= s.len; i++)
            if ((i == 0 || s.data[i - 1] == '/') &&
                slow(slice_of(p.data + 3, p.len - 3), slice_of(s.data + i, s.len - i), true))
                return true;
    if (is_folders)
        return false;
    if (p.len == 0)
        return s.len == 0;
    if (p.data[0] == '*') {
        for (size_t i = 0; i <= s.len && (i == 0 || s.data[i - 1] != '/'); i++)
            if (slow(slice_of(p.data + 1, p.len - 1), slice_of(s.data + i, s.len - i), false))
                return true;
        return false;
    }
    return s.len && (p.data[0] == '?' ? s.data[0] != '/' : p.data[0] == s.data[0]) &&
           slow(slice_of(p.data + 1, p.len - 1), slice_of(s.data + 1, s.len - 1), p.data[0] == '/');
}

static bool is_plain(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (strchr("[\\", s.data[i]) || (unsigned char)s.data[i] >= 0x80)
            return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    size_t n = nul ? (size_t)(nul - data) : size, left = nul ? size - n - 1 : 0;
    char *pattern = malloc(n ? n : 1), *path = malloc(left ? left : 1); /* exact */
    if (!pattern || !path)
        abort();
    if (n)
        memcpy(pattern, data, n);
    if (left)
        memcpy(path, nul + 1, left);
    struct slice p = slice_of(pattern, n), s = slice_of(path, left);
    bool fits = glob_matches(p, s);
    if (n <= MAX_SLOW && left <= MAX_SLOW && is_plain(p) && is_plain(s) && slow(p, s, true) != fits)
        abort();
    free(pattern);
    free(path);
    return 0;
}
