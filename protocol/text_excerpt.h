/* text_excerpt.h - as many characters of a text as there is room for, from its beginning or from its end. The text is UTF-8; a
 * character is never cut, and a line only when that would leave less than half of what there is room for. */
#ifndef PROTOCOL_TEXT_EXCERPT_H
#define PROTOCOL_TEXT_EXCERPT_H

#include "base/slice.h"

size_t text_chars(struct slice text); /* how many characters */

size_t text_head(struct slice text, size_t max_chars); /* how many bytes of the beginning */
size_t text_tail(struct slice text, size_t max_chars); /* at which byte the end begins */

#endif
