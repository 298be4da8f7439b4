/* stream_op.h - one message of a client on /api/v1/stream: {"op":…,"id":…, …}. */
#ifndef WEB_STREAM_OP_H
#define WEB_STREAM_OP_H

#include "web/execute_body.h"

#define STREAM_OP_ID_BYTES 128 /* of an id as JSON */

enum stream_op_kind {
    OP_EXECUTE,   /* {code, …} as POST /execute */
    OP_ATTACH,    /* {execution_id or session, after?} */
    OP_DETACH,    /* {execution_id or session} */
    OP_INTERRUPT, /* {execution_id or session} */
    OP_INPUT,     /* {execution_id, value} */
    OP_CANCEL,    /* {execution_id} */
    OP_PING,
};

/* Strings point into the message or into `fields`. */
struct stream_op {
    enum stream_op_kind kind;
    struct slice id; /* as JSON: a string or a number; "null" while it could not be read */
    struct execute_body execute;
    const char *execution_id_text;
    struct uuid execution_id; /* set, or session is */
    const char *session;
    int64_t after;
    struct slice value;
    struct fields fields;
};

/* ERR_INVALID, ERR_TOO_LARGE: op->id is what could be read of it. Call stream_op_done in any case. */
int stream_op_read(struct stream_op *op, struct slice message, const struct config *config, struct err *e)
    __attribute__((warn_unused_result));
void stream_op_done(struct stream_op *op);

#define CLEANUP_STREAM_OP __attribute__((cleanup(stream_op_done)))

#endif
