/* frame.h - cuts a byte stream into frames: u32 length (big-endian, of what follows), then bytes.
 * The outermost layer of the link and of the keeper's verbs. */
#ifndef PROTOCOL_FRAME_H
#define PROTOCOL_FRAME_H

#include <stdint.h>

#include "base/slice.h"
#include "protocol/decode.h"

#define FRAME_HEADER_BYTES 4

/* Looks at the beginning of `stream`. On DECODE_OK *ret is the frame's body (a slice of stream) and
 * *ret_used the bytes to drop, header included. max_bytes bounds the body. Empty bodies are BAD. */
enum decode frame_decode(struct slice stream, size_t max_bytes, struct slice *ret, size_t *ret_used);

/* How many bytes the frame that begins the stream still lacks; of one whose length has not come, those of the length. */
size_t frame_bytes_missing(struct slice stream);

void frame_put_length(char at[FRAME_HEADER_BYTES], uint32_t length);

#endif
