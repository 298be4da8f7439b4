/* image_head.h - what the first bytes of an image say: which kind it is, and how large its sides are. PNG, JPEG, GIF and WebP. */
#ifndef PROTOCOL_IMAGE_HEAD_H
#define PROTOCOL_IMAGE_HEAD_H

#include <stdint.h>

#include "base/slice.h"

enum image_kind { IMAGE_PNG, IMAGE_JPEG, IMAGE_GIF, IMAGE_WEBP };

struct image_head {
    enum image_kind kind;
    uint32_t width, height; /* pixels; neither is 0 */
};

/* False: it is none of the four, or its sides are not in these bytes. Of a GIF it is the canvas, of a JPEG the first frame.
 * Nothing behind the head is looked at: the image may be broken there. */
bool image_head_read(struct slice bytes, struct image_head *ret);

const char *image_kind_name(enum image_kind kind);       /* "png" */
const char *image_kind_media_type(enum image_kind kind); /* "image/png" */

#endif
