/* packages.h - what users install for their languages: what they may, what is there, and the installing
 * (docs/decisions/0059-packages-are-built-apart.md). */
#ifndef KERNELHUB_PACKAGES_H
#define KERNELHUB_PACKAGES_H

#include "kernelhub/files.h"
#include "kernelhub/hub.h"

#define PACKAGES_MAX_REQUESTED 64 /* in one install */

struct packages_wish {
    const char *language; /* or an alias; NULL: the session's, else python */
    const char *session;  /* for its image; NULL: the default image */
    struct slice list;    /* a JSON array of strings, checked */
};

/* Who is told of an install. Records and the result are JSON objects, valid during the call. */
struct packages_listener {
    void (*on_record)(void *arg, struct slice record); /* {"type":"queued",…}, {"type":"progress",…} */
    void (*on_end)(void *arg, const struct err *e, struct slice result); /* once; e: it could not be tried */
    void *arg;
};

struct package_install;

/* Begins one, or lets it wait for its turn. ERR_POLICY names package and rule; ERR_INVALID; ERR_NOT_FOUND (the session); ERR_QUOTA and
 * ERR_BUSY: too many wait. Then nobody is told anything. The first record may come before this returns. */
int packages_install(struct hub *h, struct user *u, const struct packages_wish *wish,
                     const struct packages_listener *listener, struct package_install **ret, struct err *e);
void packages_leave(struct package_install *i); /* its listener hears no more; it goes on. Not after on_end */

/* Appends {"language","items":[rule…],"installable":…,"next":null}. ERR_NOT_FOUND: there are no packages of that language. */
int packages_write_allowed(struct hub *h, const char *language, struct buf *out, struct err *e);

/* "py" → "python"; NULL: nothing can be installed for it. */
const char *packages_language(const char *name_or_alias);

/* In a worker's thread: appends {"language","name","version"} objects, with commas between, by name. */
int packages_write_installed(struct tree *t, const char *language, struct buf *out, struct err *e);

#endif
