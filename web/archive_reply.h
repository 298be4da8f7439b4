/* archive_reply.h - a folder as a tar or zip file, made in a worker piece by piece as the client takes it.
 *
 * Links, pipes, sockets and what cannot be read are left out; what was, and why, stands in a last entry LEFT_OUT.txt. What user code
 * changes meanwhile is in it as it was when it was read; in a tar a file that shrinks is filled up with zeros, and named there too. */
#ifndef WEB_ARCHIVE_REPLY_H
#define WEB_ARCHIVE_REPLY_H

#include "kernelhub/files_path.h"

struct request;

/* form: "tar" or "zip". Decides the reply, now or later. ?sandbox= is read. */
void archive_reply(struct request *r, const char *path, const char *form);

#endif
