/* base64.h - RFC 4648 base64 with padding back into bytes; white space is skipped. */
#ifndef CMD_BASE64_H
#define CMD_BASE64_H

#include "base/buf.h"

/* Appends the bytes. False when text is no base64; then `out` holds some of it. */
bool base64_decode(struct buf *out, struct slice text);

#endif
