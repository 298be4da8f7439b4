/* range.h - a Range header of one part (RFC 9110, 14.2). */
#ifndef WEB_RANGE_H
#define WEB_RANGE_H

#include <stddef.h>

struct range {
    size_t first, len;
};

enum range_kind { RANGE_NONE, RANGE_PART, RANGE_OUTSIDE };

/* What `header` (may be NULL) asks of `size` bytes. Other units, several parts and nonsense are
 * RANGE_NONE: the whole is a right answer to them. */
enum range_kind range_parse(const char *header, size_t size, struct range *ret);

#endif
