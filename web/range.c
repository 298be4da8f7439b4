#include "web/range.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Digits up to 18 of them; false when there are none. */
static bool number(const char **at, uint64_t *ret)
{
    size_t n = strspn(*at, "0123456789");
    *ret = 0;
    if (n == 0 || n > 18)
        return false;
    for (size_t i = 0; i < n; i++)
        *ret = *ret * 10 + (uint64_t)((*at)[i] - '0');
    *at += n;
    return true;
}

static enum range_kind last_bytes(uint64_t n, size_t size, struct range *ret)
{
    if (n == 0 || size == 0)
        return RANGE_OUTSIDE;
    size_t len = n < size ? (size_t)n : size;
    *ret = (struct range){ .first = size - len, .len = len };
    return RANGE_PART;
}

enum range_kind range_parse(const char *header, size_t size, struct range *ret)
{
    uint64_t first, last;
    if (!header || strncmp(header, "bytes=", 6) != 0)
        return RANGE_NONE;
    const char *at = header + 6;
    if (*at == '-') {
        at++;
        return number(&at, &last) && *at == '\0' ? last_bytes(last, size, ret) : RANGE_NONE;
    }
    if (!number(&at, &first) || *at++ != '-')
        return RANGE_NONE;
    if (*at == '\0')
        last = UINT64_MAX;
    else if (!number(&at, &last) || *at != '\0' || last < first)
        return RANGE_NONE;
    if (first >= size)
        return RANGE_OUTSIDE;
    if (last >= size)
        last = size - 1;
    *ret = (struct range){ .first = (size_t)first, .len = (size_t)(last - first) + 1 };
    return RANGE_PART;
}
