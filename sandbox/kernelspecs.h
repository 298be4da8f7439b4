/* kernelspecs.h - what `kernelhub-init discover` printed inside an image: the image's word, so hostile.
 * Records, one after the other, nothing between or after them:
 *
 *     NAME NUL LENGTH (decimal) NUL LENGTH bytes (kernel.json)  */
#ifndef SANDBOX_KERNELSPECS_H
#define SANDBOX_KERNELSPECS_H

#include <stdbool.h>

#include "base/buf.h"

#define KERNELSPECS_MAX             64
#define KERNELSPECS_MAX_NAME        64
#define KERNELSPECS_MAX_JSON_BYTES  (32u << 10)
#define KERNELSPECS_MAX_BYTES       (128u << 10) /* all of them */

/* Appends {"NAME":{kernel.json},…} on one line. False, with `out` in some state, when anything at all is not as above:
 * a name that is not [A-Za-z0-9._-]+ or comes twice, a kernel.json that is no JSON object. */
bool kernelspecs_parse(struct slice printed, struct buf *out);

/* True for what kernelspecs_parse makes; for text that comes back from a file. */
bool kernelspecs_valid(struct slice object);

#endif
