/* uuid.h - a UUID as its 36 lower-case characters, always NUL-terminated; all zero bytes: none. */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stdint.h>

#include "base/slice.h"

struct uuid {
    char text[37];
};

struct uuid uuid_new(void); /* version 4, from the kernel's random source */

/* Accepts only 8-4-4-4-12 hex digits (upper case is lowered). */
bool uuid_parse(struct slice s, struct uuid *ret);

static inline bool uuid_is_set(const struct uuid *u)
{
    return u->text[0] != '\0';
}

static inline bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a->text, b->text, sizeof a->text) == 0;
}

/* 16 raw bytes, for the wire; sixteen zero bytes stand for none. */
void uuid_to_bytes(const struct uuid *u, uint8_t ret[16]);
struct uuid uuid_from_bytes(const uint8_t raw[16]);

#endif
