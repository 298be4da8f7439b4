/* POST /execute and /execute/async: a body becomes an execution_request. */
#include <stddef.h>

#include "base/cleanup.h"
#include "web/accept.h"
#include "web/fields.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/rest.h"
#include "web/run.h"

#define MAX_NAME_BYTES    255
#define MAX_ENTRY_BYTES   32768
#define MAX_LABEL_BYTES   512
#define MAX_STDIN_BYTES   (8 * 1024 * 1024)
#define MAX_QUEUE_SECONDS 86400

struct body {
    struct execution_request wanted;
    bool persistent, queue;
    enum field_choice interactive;
    const char *on_disconnect;
};

#define AT(member) offsetof(struct body, member)
static const struct field FIELDS[] = {
    { "code", FIELD_TEXT, AT(wanted.code), true, 0, CONFIG_LIMITS_CODE, NULL },
    { "language", FIELD_NAME, AT(wanted.language), false, MAX_NAME_BYTES, FIELD_NO_CONFIG, NULL },
    { "session", FIELD_NAME, AT(wanted.session), false, MAX_NAME_BYTES, FIELD_NO_CONFIG, NULL },
    { "execution_id", FIELD_NAME, AT(wanted.execution_id), false, 36, FIELD_NO_CONFIG, NULL },
    { "persistent", FIELD_FLAG, AT(persistent), false, 0, FIELD_NO_CONFIG, NULL },
    { "sandbox", FIELD_NAME, AT(wanted.sandbox), false, MAX_NAME_BYTES, FIELD_NO_CONFIG, NULL },
    { "template", FIELD_NAME, AT(wanted.template_name), false, MAX_NAME_BYTES, FIELD_NO_CONFIG,
      NULL },
    { "timeout_seconds", FIELD_NUMBER, AT(wanted.timeout_seconds), false, 0, CONFIG_LIMITS_TIMEOUT,
      NULL },
    { "queue_timeout_seconds", FIELD_NUMBER, AT(wanted.queue_timeout_seconds), false,
      MAX_QUEUE_SECONDS, FIELD_NO_CONFIG, NULL },
    { "env", FIELD_ENV, AT(wanted.env), false, MAX_ENTRY_BYTES, FIELD_NO_CONFIG, NULL },
    { "stdin", FIELD_TEXT, AT(wanted.stdin_text), false, MAX_STDIN_BYTES, FIELD_NO_CONFIG, NULL },
    { "interactive", FIELD_CHOICE, AT(interactive), false, 0, FIELD_NO_CONFIG, NULL },
    { "labels", FIELD_LABELS, AT(wanted.labels), false, MAX_LABEL_BYTES, FIELD_NO_CONFIG, NULL },
    { "on_disconnect", FIELD_NAME, AT(on_disconnect), false, 16, FIELD_NO_CONFIG,
      "continue interrupt" },
    { "queue", FIELD_FLAG, AT(queue), false, 0, FIELD_NO_CONFIG, NULL },
    { "max_output_bytes", FIELD_INTEGER, AT(wanted.max_output_bytes), false, 0,
      CONFIG_LIMITS_OUTPUT, NULL },
};
#undef AT

/* Who reads a stream is there to answer input(); who waits for one reply is not, unless it says so. */
static bool is_interactive(const struct body *body, enum run_form form)
{
    bool streams = form == RUN_SSE || form == RUN_NDJSON;
    if (body->interactive == FIELD_NOT_GIVEN)
        return streams && !body->wanted.has_stdin;
    return body->interactive == FIELD_IS_TRUE;
}

static int read_body(struct request *r, struct fields *fields, enum run_form form,
                     struct body *body, struct err *e)
{
    struct uuid id;
    *body = (struct body){ .persistent = true, .queue = true };
    if (fields_read(fields, buf_slice(&r->body), FIELDS, ARRAY_LEN(FIELDS), r->site->config, body,
                    e) < 0)
        return -1;
    if (body->wanted.execution_id && !uuid_parse(slice_str(body->wanted.execution_id), &id))
        return err_set(e, ERR_INVALID, "field 'execution_id' has to be a UUID");
    body->wanted.not_persistent = !body->persistent;
    body->wanted.no_queue = !body->queue;
    body->wanted.has_stdin = body->wanted.stdin_text.data != NULL;
    body->wanted.interactive = is_interactive(body, form);
    body->wanted.interrupt_on_disconnect =
        body->on_disconnect && strcmp(body->on_disconnect, "interrupt") == 0;
    return 0;
}

static void execute(struct request *r, enum run_form form, const char *client)
{
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    struct body body;
    struct err e = ERR_INIT;
    if (read_body(r, &fields, form, &body, &e) < 0) {
        reply_error(r, &e);
        return;
    }
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
