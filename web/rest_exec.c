/* POST /sandboxes/{id}/exec: a command instead of code; what comes of it is an execution like any other. */
#include <stddef.h>

#include "base/cleanup.h"
#include "web/fields.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/rest.h"
#include "web/run.h"

#define MAX_COMMAND_BYTES (128 * 1024)
#define MAX_PATH_BYTES    4000
#define MAX_ENTRY_BYTES   32768
#define MAX_LABEL_BYTES   512
#define MAX_STDIN_BYTES   (8 * 1024 * 1024)

struct body {
    struct execution_request wanted;
    const char *on_disconnect;
};

#define AT(member) offsetof(struct body, member)
static const struct field FIELDS[] = {
    { "cmd", FIELD_STRINGS, AT(wanted.command), true, MAX_COMMAND_BYTES, FIELD_NO_CONFIG, NULL },
    { "cwd", FIELD_NAME, AT(wanted.cwd), false, MAX_PATH_BYTES, FIELD_NO_CONFIG, NULL },
    { "env", FIELD_ENV, AT(wanted.env), false, MAX_ENTRY_BYTES, FIELD_NO_CONFIG, NULL },
    { "stdin", FIELD_TEXT, AT(wanted.stdin_text), false, MAX_STDIN_BYTES, FIELD_NO_CONFIG, NULL },
    { "timeout_seconds", FIELD_NUMBER, AT(wanted.timeout_seconds), false, 0, CONFIG_LIMITS_TIMEOUT,
      NULL },
    { "execution_id", FIELD_NAME, AT(wanted.execution_id), false, 36, FIELD_NO_CONFIG, NULL },
    { "labels", FIELD_LABELS, AT(wanted.labels), false, MAX_LABEL_BYTES, FIELD_NO_CONFIG, NULL },
    { "on_disconnect", FIELD_NAME, AT(on_disconnect), false, 16, FIELD_NO_CONFIG,
      "continue interrupt" },
    { "max_output_bytes", FIELD_INTEGER, AT(wanted.max_output_bytes), false, 0,
      CONFIG_LIMITS_OUTPUT, NULL },
};
#undef AT

static int read_body(struct request *r, struct fields *fields, struct body *body, struct err *e)
{
    struct uuid id;
    *body = (struct body){ 0 };
    if (fields_read(fields, buf_slice(&r->body), FIELDS, ARRAY_LEN(FIELDS), r->site->config, body,
                    e) < 0)
        return -1;
    if (body->wanted.execution_id && !uuid_parse(slice_str(body->wanted.execution_id), &id))
        return err_set(e, ERR_INVALID, "field 'execution_id' has to be a UUID");
    body->wanted.has_stdin = body->wanted.stdin_text.data != NULL;
    body->wanted.interrupt_on_disconnect =
        body->on_disconnect && strcmp(body->on_disconnect, "interrupt") == 0;
    return 0;
}

static void exec(struct request *r, enum run_form form)
{
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    struct body body;
    struct err e = ERR_INIT;
    if (read_body(r, &fields, &body, &e) < 0) {
        reply_error(r, &e);
        return;
    }
    body.wanted.sandbox = request_part(r, 0);
    body.wanted.client = run_client(form);
    run_start(r, &body.wanted, form);
    buf_done(&r->body); /* a run may take long; its text is with the hub now */
}

void rest_sandbox_exec(struct request *r)
{
    exec(r, run_form(r->head.accept));
}
