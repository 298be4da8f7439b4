/* percent.h - percent-encoding as in URLs (RFC 3986, 2.1), read strictly. */
#ifndef WEB_PERCENT_H
#define WEB_PERCENT_H

#include "base/slice.h"

/* Writes the decoded text and a NUL to `ret` (room for raw.len + 1 bytes) and its length to
 * ret_len. False for a bad escape, a control character, a NUL (%00 too) or broken UTF-8. */
bool percent_decode(struct slice raw, bool plus_is_space, char *ret, size_t *ret_len);

/* Unicode table 3-7: no overlong forms, no surrogates. */
bool utf8_valid(struct slice text);

#endif
