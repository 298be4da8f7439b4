/* contents.h - Jupyter's Contents API, in a worker's thread: from what was asked to what is answered.
 *
 * Statuses and models are those of jupyter_server 2.17+ (services/contents/handlers.py, filemanager.py). Hidden files (a name in the
 * path begins with a dot) are as there: left out of listings, GET says 404, what changes says 400. */
#ifndef WEB_CONTENTS_H
#define WEB_CONTENTS_H

#include "kernelhub/files.h"

#define CONTENTS_MAX_BYTES (64u * 1024 * 1024) /* of a file whose content is in a model */
#define CONTENTS_MAX_NOTEBOOK                                                                      \
    (128u * 1024 * 1024) /* of a notebook: indented it is longer than it came */
#define CONTENTS_MAX_JSON (192u * 1024 * 1024) /* of a model */

enum contents_type { CONTENTS_ANY, CONTENTS_DIRECTORY, CONTENTS_FILE, CONTENTS_NOTEBOOK };
enum contents_format { CONTENTS_DEFAULT, CONTENTS_TEXT, CONTENTS_BASE64 };

struct contents_ask {
    char path[FILES_MAX_PATH + 1]; /* what the URL names */
    enum contents_type type;
    enum contents_format format;
    bool content, hash;
    char checkpoint[64];
    struct buf body; /* as it came */
};

struct contents_answer {
    unsigned status;
    struct buf json;               /* empty with 204 */
    char path[FILES_MAX_PATH + 1]; /* of what was made or changed */
    bool has_path;                 /* it is: Location */
};

typedef int contents_fn(struct tree *t, const struct contents_ask *ask, struct contents_answer *ret,
                        struct err *e);

contents_fn contents_get;
contents_fn contents_post;  /* a new file under a name of our choice, or a copy */
contents_fn contents_put;   /* save */
contents_fn contents_patch; /* rename */
contents_fn contents_delete;
contents_fn contents_checkpoints;
contents_fn contents_checkpoint_create;
contents_fn contents_checkpoint_restore;
contents_fn contents_checkpoint_delete;

/* ---- parts of them ---- */

/* What a model shows beside its outside. */
struct contents_show {
    enum contents_type type;
    enum contents_format format;
    bool content, hash;
    struct slice message; /* what is wrong with a notebook; empty: nothing */
};

/* Appends the model of what is at `path`, looked at a moment ago. */
int contents_write_model(struct tree *t, const char *path, const struct files_stat *st,
                         const struct contents_show *show, struct buf *out, struct err *e);
void contents_write_time(int64_t ns, struct buf *out); /* as a JSON string */

/* Saves what a model holds, and appends the model of what is there then. */
enum contents_mode {
    CONTENTS_NEW,    /* nothing may be there: ERR_CONFLICT */
    CONTENTS_UPLOAD, /* nothing was there; what the model does not say is made up */
    CONTENTS_REPLACE,
};
int contents_save(struct tree *t, const char *path, struct slice model, enum contents_mode mode,
                  struct contents_answer *ret, struct err *e);
/* The body as an object: "{}" when there is none. What no JSON is, `mended` may hold. `is_mended`: it does, and its strings are not
 * those that came. */
int contents_read_body(const struct buf *body, struct buf *mended, struct slice *ret,
                       bool *is_mended, struct err *e);
/* A member that names a file. False: there is none, or it is null or "". */
int contents_read_path(struct slice object, const char *key, char ret[FILES_MAX_PATH + 1],
                       bool *ret_has, struct err *e);

/* There is one checkpoint of a file, beside it: DIR/.ipynb_checkpoints/NAME-checkpoint.EXT. It follows its file. */
int contents_checkpoint_path(const char *path, char ret[FILES_MAX_PATH + 1], struct err *e);
void contents_checkpoint_follow(struct tree *t, const char *from,
                                const char *to); /* to NULL: it goes */
bool contents_ends_in_ipynb(const char *path);
#define CONTENTS_CHECKPOINTS ".ipynb_checkpoints"

#endif
