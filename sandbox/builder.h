/* builder.h - one build of a user's packages: a container of its own, from its making until nothing of it is left. */
#ifndef SANDBOX_BUILDER_H
#define SANDBOX_BUILDER_H

#include <stdatomic.h>

#include "sandbox/place.h"
#include "sandbox/podman.h"

enum builder_status {
    BUILDER_OK,
    BUILDER_ERROR,
    BUILDER_TIMEOUT,
    BUILDER_OOM,
    BUILDER_TOO_LARGE,
    BUILDER_DISK_FULL
};
const char *builder_status_name(enum builder_status status); /* "ok", … as in verb.h */

struct builder {
    struct uuid id;
    char user_id[37];
    char language[16];
    char template_name[64];
    char image_id[PODMAN_ID_SIZE];
    unsigned range, first_id;
    const atomic_bool *stop; /* set: the keeper ends */

    enum builder_status status; /* what follows is builder_run's */
    int exit_code;
    uint64_t size_bytes;
    char words[200]; /* the end of what it said before its program could begin: only the keeper hears it */
    bool is_stuck;   /* its container could not be removed: its range is not free */
};

/* Builds, and puts the result in place when its status is ok. Blocks, for no longer than the options' timeout_s and what Podman takes.
 * -1: it could not be tried, or not be put in place. The build's folder is left for who tells of its end: place_end_build. */
int builder_run(struct builder *b, const struct place *place, struct podman *podman, struct err *e);

#endif
