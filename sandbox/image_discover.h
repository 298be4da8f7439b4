/* image_discover.h - which kernelspecs an image holds, with their logos: from the cache, or by running it once. */
#ifndef SANDBOX_IMAGE_DISCOVER_H
#define SANDBOX_IMAGE_DISCOVER_H

#include "sandbox/images.h"

/* Sets the image's kernelspecs and logos; both stay NULL when it cannot be looked into, which is logged. What a keeper before us found, who
 * knew no logos, is looked for again, and stands when that fails. */
void image_discover(const struct place *place, struct podman *podman, unsigned range, unsigned first_id, struct image *image);

#endif
