/* packages_internal.h - what packages.c (installs and their turn) and packages_tree.c (a user's folders) share. */
#ifndef KERNELHUB_PACKAGES_INTERNAL_H
#define KERNELHUB_PACKAGES_INTERNAL_H

#include "kernelhub/packages.h"

#define PACKAGES_MAX_LISTED 20000

struct packages_entry {
    char name[128], version[128];
};

/* What is installed, by name. Zeroed: empty. */
struct packages_list {
    struct packages_entry *items;
    size_t n, size;
};
void packages_list_done(struct packages_list *l);
const struct packages_entry *packages_list_find(const struct packages_list *l, const char *name);

/* ---- in a worker's thread ---- */

/* Reads what strangers' installers left: names of folders, nothing followed, no file opened. */
int packages_read(struct tree *t, const char *language, struct packages_list *ret, struct err *e);

/* Makes USER/building/ID/work with the requirements, the constraints and an empty log, which is given open to read: what the builder puts
 * in its place later is not. */
int packages_prepare(struct tree *t, const struct uuid *id, struct slice requirements, struct slice constraints,
                     int *ret_log, struct err *e);

/* ---- in the loop ---- */
struct allow_list;

enum install_state { INSTALL_QUEUED, INSTALL_PREPARING, INSTALL_BUILDING, INSTALL_ENDING };

struct packages {
    struct hub *hub;
    struct allow_list *python, *npm;
    int timer;          /* -1: nobody's turn is due */
    zlistx_t *installs; /* in the order of their turn */
};

struct package_install {
    struct packages *owner;
    void *handle; /* in its list */
    struct user *user;
    struct packages_listener listener;
    bool is_left;
    enum install_state state;
    size_t position; /* the last that was said */
    struct uuid id;
    const char *language;
    char template_name[64];
    struct buf requested;    /* a JSON array */
    struct buf requirements; /* lines */
    int64_t begun_ms, said_ms;
    int timer;             /* -1: none */
    struct files_job *job; /* a thread has what follows, up to the list after */
    int log;               /* -1: not open */
    uint64_t offset;
    struct buf piece;
    bool is_at_end;
    struct packages_list before, after;
    struct buf tail;
    size_t told; /* bytes of text in records */
    bool is_truncated;
    bool is_built; /* the keeper has answered: */
    struct err error;
    char status[16];
    char *words; /* instead of a log, of a builder that could not begin; NULL */
    int64_t exit_code, size_bytes;
};

/* Fills in what was asked for. Errors as of packages_install. */
int install_read_wish(struct package_install *i, const struct packages_wish *wish, struct err *e);

struct packages *packages_new(struct hub *h); /* the settings have been checked */
void packages_free(struct packages *p);       /* after files_free; installs go on in the keeper */

#endif
