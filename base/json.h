/* json.h - JSON as bytes: check it strictly, cut slices out of it, splice them into other JSON.
 * No tree is ever built (a tree of a 16 MiB image stalls a loop for 0.3 s). Source: RFC 8259. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

#define JSON_MAX_DEPTH 64

/* True when s is exactly one JSON value: RFC 8259 grammar, valid UTF-8, escapes without lone
 * surrogates and without \u0000, at most JSON_MAX_DEPTH levels, white space around it allowed. */
bool json_valid(struct slice s);

/* What follows works on values that json_valid has passed; on others it returns false or stops
 * early, and never reads outside s. Slices returned point into s. */
enum json_type { JSON_NONE, JSON_OBJECT, JSON_ARRAY, JSON_STRING, JSON_NUMBER, JSON_TRUE, JSON_FALSE, JSON_NULL };

enum json_type json_type(struct slice value);

/* Walks the members of an object or the elements of an array:
 *     struct json_iter it = json_iter(value);
 *     while (json_next(&it)) … it.key (raw, between the quotes; arrays: empty), it.value …  */
struct json_iter {
    struct slice rest;
    struct slice key;
    struct slice value;
    bool is_object;
    bool ok;
};

struct json_iter json_iter(struct slice value);
/* The same for members that stand without their braces, as those of an event: ,"a":1,"b":2 */
struct json_iter json_iter_members(struct slice members);
bool json_next(struct json_iter *it);

bool json_member(struct slice object, const char *key, struct slice *ret);          /* any value */
/* The first member of each name, all in one walk: a large object is read once. ret has n slices; absent: empty. */
void json_members(struct slice object, const char *const *names, size_t n, struct slice *ret);
bool json_member_string(struct slice object, const char *key, struct slice *ret);   /* raw, between the quotes */
bool json_member_int(struct slice object, const char *key, int64_t *ret);           /* integers only */
bool json_member_bool(struct slice object, const char *key, bool *ret);

/* Appends the text of a string value (raw, between the quotes) with escapes resolved. */
void json_unescape(struct buf *out, struct slice raw);
/* The same into a fixed array, NUL-terminated; false when it does not fit or holds a NUL. */
bool json_copy_string(struct slice raw, char *ret, size_t size);
/* The value's string as malloc'd text; NULL when absent, no string or longer than max_bytes. */
char *json_member_dup(struct slice object, const char *key, size_t max_bytes);

/* Appends `text` as a JSON string with quotes. Bytes that are no UTF-8 become U+FFFD. */
void json_quote(struct buf *out, struct slice text);
void json_quote_str(struct buf *out, const char *text); /* NULL: null */

/* Appends a checked value with white space between tokens dropped, so that it is one line. When
 * json_valid fails it appends the bytes as a JSON string instead and returns false. */
bool json_splice(struct buf *out, struct slice value);

/* Appends `text` with what json_valid refuses inside of strings replaced: bytes that are no UTF-8, lone surrogates and
 * \u0000 by U+FFFD, raw control characters by their escape. Kernels print such text (a file's name, a binary file). What is
 * broken outside of strings stays as it is: ask json_valid again. At most six times as long. */
void json_mend(struct buf *out, struct slice text);

#endif
