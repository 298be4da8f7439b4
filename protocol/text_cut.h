/* text_cut.h - where a stream of bytes may be cut so that no character of UTF-8 is torn. */
#ifndef PROTOCOL_TEXT_CUT_H
#define PROTOCOL_TEXT_CUT_H

#include "base/slice.h"

/* How many bytes at the end (0 to 3) begin a character whose rest may still come: keep them for the next read. Bytes
 * that are no UTF-8 are not waited for longer than that. */
size_t text_cut_incomplete(struct slice bytes);

#endif
