/* execute_body.h - the body of POST /execute, alone or as a part of another body. */
#ifndef WEB_EXECUTE_BODY_H
#define WEB_EXECUTE_BODY_H

#include "kernelhub/execution.h"
#include "web/fields.h"

/* Which of its fields there are. */
enum execute_fields {
    EXECUTE_ASYNC, /* callback_url too */
    EXECUTE_WHOLE,
    EXECUTE_REPLAY, /* without code, language and persistent */
};

struct execute_body {
    struct execution_request wanted; /* client is not set */
    enum field_choice interactive;
};

/* Reads `text` into *ret, which points into *fields: call fields_done in any case. */
int execute_body_read(struct fields *fields, struct slice text, enum execute_fields which,
                      const struct config *config, struct execute_body *ret, struct err *e)
    __attribute__((warn_unused_result));

/* The same of fields that were parsed (fields_parse), less the members named in `apart`. */
int execute_body_take(struct fields *fields, const char *apart, const struct config *config,
                      struct execute_body *ret, struct err *e) __attribute__((warn_unused_result));

/* Sets wanted.interactive, once has_stdin is known. streams: the client reads events as they come. */
void execute_body_decide(struct execute_body *body, bool streams);

#endif
