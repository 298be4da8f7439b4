/* text_part.h - cuts a part out of a text that passes by in pieces: some bytes, the first or the last lines, the lines that
 * hold a word. Pure. The text is UTF-8; however it is cut into pieces, the part is the same. */
#ifndef KERNELHUB_TEXT_PART_H
#define KERNELHUB_TEXT_PART_H

#include "base/buf.h"
#include "kernelhub/execution.h"

#define TEXT_PART_LINE_BYTES (1 << 20) /* for grep, a longer line is several */

struct text_part;

struct text_part *text_part_new(const struct output_part *wanted); /* copies */
void text_part_free(struct text_part *p);                          /* NULL is fine */

bool text_part_add(struct text_part *p, struct slice text); /* false: what comes now changes nothing any more */
void text_part_end(struct text_part *p);

/* After the end; `ended` is not known here. A part of bytes begins at a character's beginning, at least one is in it. */
struct output_found text_part_found(const struct text_part *p);

#endif
