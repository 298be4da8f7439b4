/* kernelspecs.h - what `kernelhub-init discover` printed inside an image: the image's word, so hostile.
 * Records, one after the other, nothing between or after them:
 *
 *     NAME NUL LENGTH (decimal) NUL LENGTH bytes (kernel.json)
 *     NAME/FILE NUL LENGTH NUL LENGTH bytes (a logo of that kernelspec, behind it)
 *
 * A logo is logo-32x32.png, logo-64x64.png or logo-svg.svg, and here always JSON's base64. */
#ifndef SANDBOX_KERNELSPECS_H
#define SANDBOX_KERNELSPECS_H

#include <stdbool.h>

#include "base/buf.h"

#define KERNELSPECS_MAX             64
#define KERNELSPECS_MAX_NAME        64
#define KERNELSPECS_MAX_JSON_BYTES  (32u << 10)
#define KERNELSPECS_MAX_BYTES       (128u << 10) /* all of them */

#define KERNELSPECS_MAX_LOGO_BYTES  (64u << 10)
#define KERNELSPECS_MAX_LOGOS_BYTES (384u << 10) /* all of them, as JSON */

/* Appends {"NAME":{kernel.json},…} on one line to specs, {"NAME":{"logo-64x64.png":"BASE64",…},…} of those that have logos to logos.
 * False, with both in some state, when anything at all is not as above: a name that is not [A-Za-z0-9._-]+ or comes twice, a
 * kernel.json that is no JSON object, or a very deep one, a logo of another kernelspec than the last. A .png that is none, an .svg that is no UTF-8, is left
 * out. */
bool kernelspecs_parse(struct slice printed, struct buf *specs, struct buf *logos);

/* True for what kernelspecs_parse makes of specs; for text that comes back from a file. */
bool kernelspecs_valid(struct slice specs);

/* The record of an image: {"v":2,"kernelspecs":{…},"logos":{…}}. The one of before was the kernelspecs alone. */
void kernelspecs_write_record(struct slice specs, struct slice logos, struct buf *out);
bool kernelspecs_read_record(struct slice record, struct slice *ret_specs, struct slice *ret_logos); /* false: it is none, or an older one */

#endif
