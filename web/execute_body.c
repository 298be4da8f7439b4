#include "web/execute_body.h"

#include <stddef.h>

#include "base/cleanup.h"

#define MAX_NAME_BYTES    255
#define MAX_ENTRY_BYTES   32768
#define MAX_LABEL_BYTES   512
#define MAX_STDIN_BYTES   (8 * 1024 * 1024)
#define MAX_QUEUE_SECONDS 86400
#define MAX_URL_BYTES     2048

/* What has to be turned into something else. */
struct body {
    struct execute_body read;
    bool persistent, queue;
    const char *on_disconnect;
};

/* Each kind of body has the lines from its own first one on. */
static const size_t FIRST[] = {
    [EXECUTE_ASYNC] = 0,
    [EXECUTE_WHOLE] = 1,
    [EXECUTE_REPLAY] = 4,
};

#define AT(member) offsetof(struct body, member)
static const struct field FIELDS[] = {
    { "callback_url", FIELD_NAME, AT(read.wanted.callback_url), false, MAX_URL_BYTES,
      FIELD_NO_CONFIG, NULL },
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

static int finish(struct body *body, struct execute_body *ret, struct err *e)
{
    struct uuid id;
    struct execution_request *wanted = &body->read.wanted;
    if (wanted->execution_id && !uuid_parse(slice_str(wanted->execution_id), &id))
        return err_set(e, ERR_INVALID, "field 'execution_id' has to be a UUID");
    wanted->not_persistent = !body->persistent;
    wanted->no_queue = !body->queue;
    wanted->has_stdin = wanted->stdin_text.data != NULL;
    wanted->interrupt_on_disconnect =
        body->on_disconnect && strcmp(body->on_disconnect, "interrupt") == 0;
    *ret = body->read;
    return 0;
}

int execute_body_read(struct fields *fields, struct slice text, enum execute_fields which,
                      const struct config *config, struct execute_body *ret, struct err *e)
{
    struct body body = { .persistent = true, .queue = true };
    size_t first = FIRST[which];
    if (fields_read(fields, text, FIELDS + first, ARRAY_LEN(FIELDS) - first, config, &body, e) < 0)
        return -1;
    return finish(&body, ret, e);
}

int execute_body_take(struct fields *fields, const char *apart, const struct config *config,
                      struct execute_body *ret, struct err *e)
{
    struct body body = { .persistent = true, .queue = true };
    size_t first = FIRST[EXECUTE_WHOLE];
    if (fields_take(fields, apart, FIELDS + first, ARRAY_LEN(FIELDS) - first, config, &body, e) < 0)
        return -1;
    return finish(&body, ret, e);
}
