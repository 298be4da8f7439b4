/* plain_text.h - what a terminal would show of a text, for readers that are no terminal. */
#ifndef PROTOCOL_PLAIN_TEXT_H
#define PROTOCOL_PLAIN_TEXT_H

#include "base/buf.h"

/* Appends the text, which is UTF-8, without escape sequences and control characters. A line that "\r" wrote again is the last one
 * written, as progress bars want it ("\r\n" is a line's end); "\b" takes the character before it. What is written has as many
 * newlines as the text and is never longer. */
void plain_text(struct buf *out, struct slice text);

/* Where in `text` stands what stands at `at` in its plain text: the same place when the line there was not changed before it, else
 * that line's beginning. */
size_t plain_text_source(struct slice text, struct slice plain, size_t at);

#endif
