#include "base/timestamp.h"

#include <time.h>

/* `n` digits at *at, in [min, max]. */
static bool digits(struct slice *s, size_t n, int min, int max, int *ret)
{
    int v = 0;
    if (s->len < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (s->data[i] < '0' || s->data[i] > '9')
            return false;
        v = v * 10 + (s->data[i] - '0');
    }
    *s = slice_of(s->data + n, s->len - n);
    *ret = v;
    return v >= min && v <= max;
}

static bool literal(struct slice *s, char c)
{
    bool lower_too = c == 'T' || c == 'Z';
    if (s->len == 0 || (s->data[0] != c && !(lower_too && s->data[0] == (c | 32))))
        return false;
    *s = slice_of(s->data + 1, s->len - 1);
    return true;
}

static bool fraction(struct slice *s, int64_t *ret_us)
{
    int64_t scale = 100000;
    *ret_us = 0;
    if (!literal(s, '.'))
        return true;
    size_t n = 0;
    for (int v; digits(s, 1, 0, 9, &v); scale /= 10, n++)
        *ret_us += v * scale;
    return n > 0;
}

static bool offset(struct slice *s, int *ret_seconds)
{
    int hours, minutes;
    *ret_seconds = 0;
    if (literal(s, 'Z'))
        return true;
    int sign = literal(s, '+') ? 1 : literal(s, '-') ? -1 : 0;
    if (!sign || !digits(s, 2, 0, 23, &hours) || !literal(s, ':') || !digits(s, 2, 0, 59, &minutes))
        return false;
    *ret_seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool timestamp_parse(struct slice s, int64_t *ret_unix_us)
{
    struct tm tm = { .tm_isdst = 0 };
    int64_t us;
    int ahead;
    if (!digits(&s, 4, 1970, 9999, &tm.tm_year) || !literal(&s, '-') ||
        !digits(&s, 2, 1, 12, &tm.tm_mon) || !literal(&s, '-') ||
        !digits(&s, 2, 1, 31, &tm.tm_mday) || !literal(&s, 'T') ||
        !digits(&s, 2, 0, 23, &tm.tm_hour) || !literal(&s, ':') ||
        !digits(&s, 2, 0, 59, &tm.tm_min) || !literal(&s, ':') ||
        !digits(&s, 2, 0, 60, &tm.tm_sec) || !fraction(&s, &us) || !offset(&s, &ahead) || s.len)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    if (tm.tm_sec == 60) /* a leap second; there are none in Unix time */
        tm.tm_sec = 59;
    int month = tm.tm_mon;
    time_t seconds = timegm(&tm);
    if (tm.tm_mon != month) /* the 31st of a short month rolled over */
        return false;
    *ret_unix_us = ((int64_t)seconds - ahead) * 1000000 + us;
    return true;
}
