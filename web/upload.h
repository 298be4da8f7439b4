/* upload.h - a file that comes as a request's body, of any length: written piece by piece in a worker, put in its place at the end.
 *
 *     upload_start ──► draft, room? ──► body ──► piece is full? written, suspended until it is ──► end ──► commit ──► 201 or 200
 *
 * A body that is cut leaves nothing. A client that is slow holds no thread, one that is quick waits for the disk. */
#ifndef WEB_UPLOAD_H
#define WEB_UPLOAD_H

#include "base/err.h"

struct request;

/* From a handler of ROUTE_PIECES, before the body: it is the file at the path in the address. Decides the reply. */
void upload_start(struct request *r);

/* The same for multipart/form-data (RFC 7578): the file is the part `file`, `path` says where; none: its own name; a folder, there or
 * with a slash at its end: its own name in there. */
void upload_start_form(struct request *r);

/* POST with JSON, its body collected: {path, content_base64} or {path, content}. */
void upload_json(struct request *r);

#endif
