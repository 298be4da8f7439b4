#include "kernelhub/config_value.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "base/cleanup.h"

/* The longest is "a number from A to B with at most three decimals". */
void setting_write_allowed(const struct setting *s, struct buf *out)
{
    switch (s->type) {
    case TEXT:
    case LIST:
        buf_addf(out, "text of %lld to %lld bytes", (long long)s->min, (long long)s->max);
        return;
    case NUMBER:
        buf_addf(out, "a whole number from %lld to %lld", (long long)s->min, (long long)s->max);
        return;
    case FLAG:
        buf_add_str(out, "0 or 1 (also no, yes, false, true, off, on)");
        return;
    case BYTES:
        buf_addf(out, "bytes from %lld to %lld, K, M, G or T may follow (1024s)", (long long)s->min,
                 (long long)s->max);
        return;
    case MILLI:
        buf_addf(out, "a number from %g to %g with at most three decimals", (double)s->min / 1000,
                 (double)s->max / 1000);
        return;
    case CHOICE:
        buf_addf(out, "one of: %s", s->choices);
        return;
    }
}

/* Digits only. False also when the number does not fit. */
static bool read_digits(const char **at, int64_t *ret)
{
    char *end;
    if (!isdigit((unsigned char)**at))
        return false;
    errno = 0;
    *ret = strtoll(*at, &end, 10);
    *at = end;
    return errno == 0;
}

static bool parse_bytes(const char *at, int64_t *ret)
{
    static const char UNITS[] = "KMGT";
    int64_t n;
    if (!read_digits(&at, &n))
        return false;
    const char *unit = *at ? strchr(UNITS, toupper((unsigned char)*at)) : NULL;
    if (unit) {
        for (const char *u = UNITS; u <= unit; u++)
            if (__builtin_mul_overflow(n, KI, &n))
                return false;
        at++;
        if (strcmp(at, "iB") == 0)
            at += 2;
    }
    *ret = n;
    return *at == '\0';
}

static bool parse_milli(const char *at, int64_t *ret)
{
    int64_t n;
    int unit = 100;
    if (!read_digits(&at, &n) || __builtin_mul_overflow(n, 1000, &n))
        return false;
    if (*at == '.') {
        for (at++; isdigit((unsigned char)*at) && unit; at++, unit /= 10)
            n += (*at - '0') * unit;
        if (unit == 100)
            return false;
    }
    *ret = n;
    return *at == '\0';
}

static bool parse_flag(const char *text, int64_t *ret)
{
    static const char *const NAMES[] = { "0", "1", "no", "yes", "false", "true", "off", "on" };
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        if (strcasecmp(text, NAMES[i]) == 0) {
            *ret = i % 2;
            return true;
        }
    }
    return false;
}

/* The place of text among the choices. */
static bool parse_choice(const char *choices, const char *text, int64_t *ret)
{
    size_t len = strlen(text);
    for (int64_t i = 0; *choices; i++) {
        size_t n = strcspn(choices, " ");
        if (n == len && memcmp(choices, text, n) == 0) {
            *ret = i;
            return true;
        }
        choices += n;
        choices += strspn(choices, " ");
    }
    return false;
}

static bool is_printable(const char *text)
{
    for (; *text; text++)
        if (iscntrl((unsigned char)*text))
            return false;
    return true;
}

bool setting_parse(const struct setting *s, const char *text, int64_t *ret)
{
    int64_t n = 0;
    bool ok = false;
    switch (s->type) {
    case TEXT:
    case LIST:
        n = (int64_t)strlen(text);
        ok = is_printable(text);
        break;
    case NUMBER:
        ok = read_digits(&text, &n) && *text == '\0';
        break;
    case FLAG:
        ok = parse_flag(text, &n);
        break;
    case BYTES:
        ok = parse_bytes(text, &n);
        break;
    case MILLI:
        ok = parse_milli(text, &n);
        break;
    case CHOICE:
        *ret = 0;
        return parse_choice(s->choices, text, ret);
    }
    *ret = n;
    return ok && n >= s->min && n <= s->max;
}
