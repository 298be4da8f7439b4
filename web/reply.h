/* reply.h - what a request is answered with. Each verb decides the reply, once, and wakes the
 * request. */
#ifndef WEB_REPLY_H
#define WEB_REPLY_H

#include <microhttpd.h>

#include "base/buf.h"
#include "base/err.h"

struct request;

void reply_json(struct request *r, unsigned status, struct slice json); /* copies */
void reply_buf(struct request *r, unsigned status,
               struct buf *json); /* takes what is in it; a failed one is a 500 */
void reply_bytes(struct request *r, unsigned status, const char *media_type,
                 struct slice bytes); /* copies */
void reply_static(struct request *r, const char *media_type,
                  struct slice bytes); /* bytes live as long as the program */
void reply_empty(struct request *r, unsigned status);
/* 101; then libmicrohttpd calls the handler with the socket. */
void reply_upgrade(struct request *r, const char *protocol, MHD_UpgradeHandler handler, void *arg);
void reply_stream(struct request *r, const char *media_type, MHD_ContentReaderCallback reader,
                  void *arg);

/* {"error":{"code","message","hint","request_id","details"}} with the code's HTTP status. r->hint
 * is used when it is set. */
void reply_error(struct request *r, const struct err *e);
void reply_error_as(struct request *r, unsigned status, const struct err *e); /* with another status than the code's */
/* Appends that error's object, {"code",…}; hint may be NULL. */
void reply_write_error(const struct request *r, const struct err *e, const char *hint, struct buf *out);

/* The reply that was just decided may be kept; else none may. `how`: its Cache-Control. */
void reply_cacheable(struct request *r, const char *how);
/* One more header for the reply that was just decided. Before anything else happens. */
void reply_header(struct request *r, const char *name, const char *value);

#endif
