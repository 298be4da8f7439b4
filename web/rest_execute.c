/* POST /execute and /execute/async: a body becomes an execution_request. */
#include <stddef.h>

#include "base/cleanup.h"
#include "web/accept.h"
#include "web/batch.h"
#include "web/execute_body.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/rest.h"
#include "web/run.h"

#define MAX_NAME_BYTES    255
#define MAX_ENTRY_BYTES   32768
#define MAX_LABEL_BYTES   512
#define MAX_STDIN_BYTES   (8 * 1024 * 1024)
#define MAX_QUEUE_SECONDS 86400

/* What has to be turned into something else. */
struct body {
    struct execute_body read;
    bool persistent, queue;
    const char *on_disconnect;
};

/* Each kind of body has the lines from its own first one on. */
#define FIRST_OF_WHOLE  0
#define FIRST_OF_REPLAY 3

#define AT(member) offsetof(struct body, member)
static const struct field FIELDS[] = {
    { "code", FIELD_TEXT, AT(read.wanted.code), true, 0, CONFIG_LIMITS_CODE, NULL },
    { "language", FIELD_NAME, AT(read.wanted.language), false, MAX_NAME_BYTES, FIELD_NO_CONFIG,
      NULL },
    { "persistent", FIELD_FLAG, AT(persistent), false, 0, FIELD_NO_CONFIG, NULL },
    { "session", FIELD_NAME, AT(read.wanted.session), false, MAX_NAME_BYTES, FIELD_NO_CONFIG,
      NULL },
    { "execution_id", FIELD_NAME, AT(read.wanted.execution_id), false, 36, FIELD_NO_CONFIG, NULL },
    { "sandbox", FIELD_NAME, AT(read.wanted.sandbox), false, MAX_NAME_BYTES, FIELD_NO_CONFIG,
      NULL },
    { "template", FIELD_NAME, AT(read.wanted.template_name), false, MAX_NAME_BYTES, FIELD_NO_CONFIG,
      NULL },
    { "timeout_seconds", FIELD_NUMBER, AT(read.wanted.timeout_seconds), false, 0,
      CONFIG_LIMITS_TIMEOUT, NULL },
    { "queue_timeout_seconds", FIELD_NUMBER, AT(read.wanted.queue_timeout_seconds), false,
      MAX_QUEUE_SECONDS, FIELD_NO_CONFIG, NULL },
    { "env", FIELD_ENV, AT(read.wanted.env), false, MAX_ENTRY_BYTES, FIELD_NO_CONFIG, NULL },
    { "stdin", FIELD_TEXT, AT(read.wanted.stdin_text), false, MAX_STDIN_BYTES, FIELD_NO_CONFIG,
      NULL },
    { "interactive", FIELD_CHOICE, AT(read.interactive), false, 0, FIELD_NO_CONFIG, NULL },
    { "labels", FIELD_LABELS, AT(read.wanted.labels), false, MAX_LABEL_BYTES, FIELD_NO_CONFIG,
      NULL },
    { "on_disconnect", FIELD_NAME, AT(on_disconnect), false, 16, FIELD_NO_CONFIG,
      "continue interrupt" },
    { "queue", FIELD_FLAG, AT(queue), false, 0, FIELD_NO_CONFIG, NULL },
    { "max_output_bytes", FIELD_INTEGER, AT(read.wanted.max_output_bytes), false, 0,
      CONFIG_LIMITS_OUTPUT, NULL },
};
#undef AT

/* Who reads a stream is there to answer input(); who waits for one reply is not, unless it says so. */
void execute_body_decide(struct execute_body *body, bool streams)
{
    if (body->interactive == FIELD_NOT_GIVEN)
        body->wanted.interactive = streams && !body->wanted.has_stdin;
    else
        body->wanted.interactive = body->interactive == FIELD_IS_TRUE;
}

int execute_body_read(struct fields *fields, struct slice text, enum execute_fields which,
                      const struct config *config, struct execute_body *ret, struct err *e)
{
    struct uuid id;
    struct body body = { .persistent = true, .queue = true };
    size_t first = which == EXECUTE_REPLAY ? FIRST_OF_REPLAY : FIRST_OF_WHOLE;
    if (fields_read(fields, text, FIELDS + first, ARRAY_LEN(FIELDS) - first, config, &body, e) < 0)
        return -1;
    struct execution_request *wanted = &body.read.wanted;
    if (wanted->execution_id && !uuid_parse(slice_str(wanted->execution_id), &id))
        return err_set(e, ERR_INVALID, "field 'execution_id' has to be a UUID");
    wanted->not_persistent = !body.persistent;
    wanted->no_queue = !body.queue;
    wanted->has_stdin = wanted->stdin_text.data != NULL;
    wanted->interrupt_on_disconnect =
        body.on_disconnect && strcmp(body.on_disconnect, "interrupt") == 0;
    *ret = body.read;
    return 0;
}

static void execute(struct request *r, enum run_form form, const char *client)
{
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    struct execute_body body;
    struct err e = ERR_INIT;
    if (execute_body_read(&fields, buf_slice(&r->body), EXECUTE_WHOLE, r->site->config, &body, &e) <
        0) {
        reply_error(r, &e);
        return;
    }
    execute_body_decide(&body, form == RUN_SSE || form == RUN_NDJSON);
    body.wanted.client = client;
    run_start(r, &body.wanted, form);
    buf_done(&r->body); /* a run may take long; its text is with the hub now */
}

void rest_execute(struct request *r)
{
    switch (accept_form(r->head.accept)) {
    case FORM_JSON:
        execute(r, RUN_WAIT, "rest");
        return;
    case FORM_SSE:
        execute(r, RUN_SSE, "sse");
        return;
    case FORM_NDJSON:
        execute(r, RUN_NDJSON, "ndjson");
        return;
    }
}

void rest_execute_async(struct request *r)
{
    execute(r, RUN_ASYNC, "rest");
}

void rest_execute_batch(struct request *r)
{
    batch_start(r, accept_form(r->head.accept));
}
