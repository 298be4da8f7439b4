/* box.h - one sandbox as the keeper sees it: its container, its warden, its directory, its ids; and
 * how they are made and taken away. The verbs block: for a worker's thread. While one runs, the
 * box belongs to that worker, but for `unwanted` and for what was asked for (id to digest), which never changes; nor
 * does box_replace_warden change its container, pid and phases. */
#ifndef SANDBOX_BOX_H
#define SANDBOX_BOX_H

#include <stdatomic.h>

#include "base/uuid.h"
#include "protocol/verb.h"
#include "sandbox/cgroup.h"
#include "sandbox/place.h"
#include "sandbox/podman.h"

struct box_phases {
    int64_t create_us; /* podman create */
    int64_t start_us;  /* podman start, and asking for the pid */
    int64_t warden_us; /* what the warden kept us waiting */
    int64_t total_us;
};

struct box {
    struct uuid id;
    char user_id[37];
    char template_name[64];
    bool private_workspace;
    struct verb_limits limits;
    char image[256];
    char image_id[PODMAN_ID_SIZE];
    char digest[80];

    unsigned range; /* index in ids */
    unsigned first_id;
    char container[PODMAN_ID_SIZE]; /* "" until Podman has made it */
    struct cgroup_paths cgroup;
    int pid, pidfd; /* the container's PID 1; 0 and -1: none */
    uint64_t pid_start;
    int warden_pid, warden_pidfd, warden_fd;
    uint64_t warden_start;
    struct uuid epoch; /* the warden's */
    struct box_phases phases; /* box_make's */
    atomic_bool unwanted; /* set from the loop: stop making it */
};

struct box *box_new(const struct verb_request *request);
void box_free(struct box *b); /* closes its fds, ends nothing */
DEFINE_CLEANUP(struct box, box_free)

/* Makes it all, up to a warden that says "ready". On failure what was made stays for box_end. */
int box_make(struct box *b, const struct place *place, struct podman *podman, struct err *e);

/* Another warden for a container that lives: in the same directory, with an epoch of its own. */
int box_replace_warden(struct box *b, const struct place *place, struct err *e);

enum box_reason { BOX_DESTROYED, BOX_DIED, BOX_OOM, BOX_KILLED };
struct box_death {
    enum box_reason reason;
    int exit_code; /* -1: unknown */
    char message[200];
};
const char *box_reason_name(enum box_reason reason);

/* What Podman and the control group say of a container whose PID 1 has ended. Gives
 * Podman 1 s to notice, and its answers the time they take (podman.c: 30 s each). */
void box_examine(struct box *b, const struct place *place, struct podman *podman, struct box_death *ret);

/* Takes everything away, also from a half-made one; may be repeated until it returns 0. */
int box_end(struct box *b, const struct place *place, struct podman *podman, struct err *e);

/* The name its container has. */
void box_container_name(const struct place *place, const struct uuid *id, char ret[80]);

/* The record in state_dir/keeper/records, from which the next keeper adopts it. */
int box_save(const struct box *b, const struct place *place, struct err *e);
int box_load(const struct place *place, const char *file, struct box **ret, struct err *e);
void box_forget(const struct place *place, const struct uuid *id);
/* Opens the processes that the record names. Fails when the container is gone, or the host was started anew; a warden that is
 * gone has warden_pidfd -1 afterwards. */
int box_adopt(struct box *b, struct err *e);

#endif
