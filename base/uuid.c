#include "base/uuid.h"

#include <assert.h>
#include <sys/random.h>

static const char HEX[] = "0123456789abcdef";

static bool is_dash(size_t i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

struct uuid uuid_from_bytes(const uint8_t raw[16])
{
    struct uuid u = { "" };
    static const uint8_t NONE[16];
    if (memcmp(raw, NONE, 16) == 0)
        return u;
    size_t at = 0;
    for (size_t i = 0; i < 16; i++) {
        if (is_dash(at))
            u.text[at++] = '-';
        u.text[at++] = HEX[raw[i] >> 4];
        u.text[at++] = HEX[raw[i] & 15];
    }
    return u;
}

struct uuid uuid_new(void)
{
    uint8_t raw[16];
    ssize_t n = getrandom(raw, sizeof raw, 0);
    assert(n == sizeof raw); /* never short below 256 bytes (getrandom(2)) */
    raw[6] = (raw[6] & 0x0f) | 0x40;
    raw[8] = (raw[8] & 0x3f) | 0x80;
    return uuid_from_bytes(raw);
}

bool uuid_parse(struct slice s, struct uuid *ret)
{
    if (s.len != 36)
        return false;
    struct uuid u = { "" };
    for (size_t i = 0; i < 36; i++) {
        int v = hex_value(s.data[i]);
        if (is_dash(i) ? s.data[i] != '-' : v < 0)
            return false;
        u.text[i] = is_dash(i) ? '-' : HEX[v];
    }
    *ret = u;
    return true;
}

void uuid_to_bytes(const struct uuid *u, uint8_t ret[16])
{
    memset(ret, 0, 16);
    if (!uuid_is_set(u))
        return;
    size_t at = 0;
    for (size_t i = 0; i < 16; i++) {
        if (is_dash(at))
            at++;
        ret[i] = (uint8_t)(hex_value(u->text[at]) << 4 | hex_value(u->text[at + 1]));
        at += 2;
    }
}
