/* upload_internal.h - what the ways to upload share: from bytes to a file in its place. */
#ifndef WEB_UPLOAD_INTERNAL_H
#define WEB_UPLOAD_INTERNAL_H

#include <microhttpd.h>

#include "web/file_tag.h"
#include "web/file_work.h"

#define UPLOAD_PIECE_BYTES (256u * 1024)
#define UPLOAD_FORM_BYTES  (16u * 1024) /* what a form may hold back until it knows where a part ends */

struct upload {
    struct file_work work;
    struct file_condition condition;
    struct draft *draft;
    char path[FILES_MAX_PATH + 1]; /* of the disk */
    char name[FILES_MAX_NAME + 1]; /* as the form calls the file */
    bool is_folder;                /* the path names the folder that the file comes into */
    bool is_there;                 /* it replaced one */
    struct files_stat st;          /* when it is in place */
    uint64_t expected_bytes;       /* 0: not known */
    struct buf piece;
    bool is_over; /* all has come */

    struct buf body; /* of a POST with JSON */
    const struct config *config;

    struct MHD_PostProcessor *form; /* NULL: the body is the file */
    struct buf path_text;
    bool has_path, has_file;
    uint64_t file_bytes;
    struct err form_error;
};

struct upload *upload_new(struct request *r);
/* Makes the draft, then opens the body. */
void upload_begin(struct upload *u);
/* The body goes to `take`, and its end to `end`. */
void upload_take_body(struct upload *u, size_t (*take)(void *arg, struct slice bytes), void (*end)(void *arg));
void upload_write_piece(struct upload *u); /* a piece is full */
void upload_commit(struct upload *u);      /* all has come: the rest is written, the file put in place, the reply decided */
void upload_refuse(struct upload *u, const struct err *e);

#endif
