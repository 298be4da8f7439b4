/* download.h - GET of a file: its bytes, read in a worker piece by piece as the client takes them; Range, ETag, If-Range, If-None-Match,
 * If-Match. A client that is slow holds no thread. */
#ifndef WEB_DOWNLOAD_H
#define WEB_DOWNLOAD_H

#include "kernelhub/files_path.h"

struct request;
struct err;

struct download_ask {
    char path[FILES_MAX_PATH + 1];
    bool as_attachment;                                       /* the browser shall save it */
    void (*refuse)(struct request *r, const struct err *e); /* how an error is said */
};

/* Decides the request's reply, now or later. ?sandbox= is read where the route knows it. */
void download_start(struct request *r, const struct download_ask *ask);

/* Adds Content-Disposition with a name of the disk (RFC 6266). */
void download_add_name(struct request *r, const char *name);

#endif
