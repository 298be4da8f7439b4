/* place_packages.h - where a user's packages are on this host, and the folder in which more of them are built.
 *
 *   state_dir/workspaces/USER/packages/LANGUAGE/     what sandboxes see, read-only, at /packages/LANGUAGE
 *                             building/BUILD/work/   the hub's wishes, the builder's log and scratch; at /build there
 *                                            tree/   what is being built; at /packages/LANGUAGE there
 *   run_dir/sandboxes/BUILD/{tree,work,old}          mount points of these, idmapped as workspaces are
 *                           host/                    what of the host the builder may read */
#ifndef SANDBOX_PLACE_PACKAGES_H
#define SANDBOX_PLACE_PACKAGES_H

#include "sandbox/place.h"

/* Attaches the user's packages, made when missing, at run_dir/sandboxes/ID/packages. */
int place_mount_packages(const struct place *p, const struct uuid *id, const char *user_id, unsigned user, struct err *e);

/* Makes the build's directories and mounts. ERR_NOT_FOUND when the hub has prepared no such build. What an
 * earlier try made of `tree`, and other builds of the user (there is one at a time), are put aside. */
int place_make_build(const struct place *p, const struct uuid *id, const char *user_id, const char *language, unsigned user,
                     struct err *e);

struct place_size {
    uint64_t tree_bytes, all_bytes; /* on disk */
    uint64_t names;
    bool is_too_deep; /* there is more below */
};
/* As it is now; gives up early above max_bytes or max_names. */
int place_measure_build(const struct place *p, const struct uuid *id, const char *user_id, uint64_t max_bytes, uint64_t max_names,
                        struct place_size *ret, struct err *e);

/* The tree takes the place of the user's packages, which take its. Nothing is mounted any more, nobody writes. */
int place_take_build(const struct place *p, const struct uuid *id, const char *user_id, const char *language, struct err *e);

/* Puts aside what the builder made in the build's folder; what the hub has put there stays, for another try. */
void place_stop_build(const struct place *p, const struct uuid *id, const char *user_id);

/* Puts the build's folder aside, to be swept. */
void place_end_build(const struct place *p, const struct uuid *id, const char *user_id);

#endif
