/* images.h - the images that can become sandboxes: those with the label io.kernelhub.template, one per
 * template (the newest that has a name), and the kernelspecs found in each by running it once. */
#ifndef SANDBOX_IMAGES_H
#define SANDBOX_IMAGES_H

#include "base/buf.h"
#include "sandbox/place.h"
#include "sandbox/podman.h"

#define IMAGES_MAX 64

struct image {
    char template_name[64];
    char name[256];
    char id[PODMAN_ID_SIZE];
    char digest[80];
    int64_t size_bytes;
    int64_t created; /* seconds since 1970 */
    char *kernelspecs; /* a JSON object; NULL: not known */
    char *logos;       /* a JSON object (kernelspecs.h); NULL: not known */
};

struct images {
    struct image image[IMAGES_MAX];
    size_t n;
};

void images_free(struct images *list);
DEFINE_CLEANUP(struct images, images_free)

/* Picks the images out of Podman's list (an array, as of podman_list_images). */
struct images *images_parse(const struct json_t *list);
const struct image *images_find(const struct images *list, const char *template_name); /* NULL: none */
bool images_same(const struct images *a, const struct images *b);
/* Appends ,"images":[…] for the verb of that name, below max_bytes: kernelspecs that do not fit are left out, and logos that find no
 * room beside all kernelspecs. */
void images_encode(const struct images *list, size_t max_bytes, struct buf *out);

/* Lists, and runs each image that is not known yet, locked down as a sandbox without workspace or
 * warden, on the id range given. What was found is kept in state_dir/keeper/images. An image that
 * cannot be looked into stays in the list without kernelspecs. Blocks. */
int images_refresh(const struct place *place, struct podman *podman, unsigned range, unsigned first_id, struct images **ret,
                   struct err *e);

#endif
