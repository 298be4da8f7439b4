/* image_discover.h - which kernelspecs an image holds: from the cache, or by running it once. */
#ifndef SANDBOX_IMAGE_DISCOVER_H
#define SANDBOX_IMAGE_DISCOVER_H

#include "sandbox/images.h"

/* A JSON object (kernelspecs.h), malloc'd; NULL when the image cannot be looked into, which is logged. */
char *image_discover(const struct place *place, struct podman *podman, unsigned range, unsigned first_id,
                     const struct image *image);

#endif
