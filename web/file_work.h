/* file_work.h - what a request does with its user's files: one piece of work after the other, in a worker's thread. It outlives the
 * request while a piece of it runs.
 *
 *     struct upload { struct file_work work; … };     work is the first member
 */
#ifndef WEB_FILE_WORK_H
#define WEB_FILE_WORK_H

#include "kernelhub/files.h"

struct request;

struct file_work {
    struct request *request; /* NULL: the client has left */
    struct hub *hub;
    struct user *user;
    struct files_job *job; /* NULL: none runs */
    struct files_place place;
    bool is_piece; /* what runs */
    int (*run)(struct file_work *w, struct tree *t, struct err *e); /* of the piece that runs */
    void (*done)(struct file_work *w, const struct err *e);
    void (*gone)(struct file_work *w);
};

/* The request owns it from now on. gone frees it, in the loop's thread, once the request has ended and no piece runs. */
void file_work_begin(struct file_work *w, struct request *r, void (*gone)(struct file_work *w));

enum file_work_kind {
    FILE_WORK_FIRST,
    FILE_WORK_PIECE,  /* goes on with what has begun: never refused */
    FILE_WORK_CHANGE, /* as the first, and goes on to its end when the client has left */
    FILE_WORK_LAST,   /* both */
};

/* Runs `run`, then `done` in the loop's thread: unless the client has left, or but for a piece the request has its reply already (the
 * server stops). One at a time. */
int file_work_submit(struct file_work *w, enum file_work_kind kind,
                     int (*run)(struct file_work *w, struct tree *t, struct err *e),
                     void (*done)(struct file_work *w, const struct err *e), struct err *e);

/* The workspace that ?sandbox= names. ERR_NOT_FOUND, ERR_GONE. */
int file_work_place(struct file_work *w, struct err *e);

#endif
