/* base64.h - RFC 4648 base64 with padding: bytes into it, and back. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/buf.h"

/* Appends the bytes; white space is skipped. False when text is no base64, or out's ceiling was passed; then `out` holds
 * some of it. */
bool base64_decode(struct buf *out, struct slice text);

/* Appends the text of `bytes`, without line ends. In pieces: all but the last of a length that 3 divides. */
void base64_encode(struct buf *out, struct slice bytes);

#endif
