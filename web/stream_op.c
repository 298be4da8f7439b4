#include "web/stream_op.h"

#include <stddef.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"

#define UUID_CHARS     36
#define MAX_NAME_BYTES 255
#define MAX_SEQ        9007199254740991.0 /* what a double counts exactly */

#define AT(member) offsetof(struct stream_op, member)
#define EXECUTION_ID(required)                                                                     \
    {                                                                                              \
        "execution_id", FIELD_NAME, AT(execution_id_text), required, UUID_CHARS, FIELD_NO_CONFIG,  \
            NULL                                                                                   \
    }
#define SESSION                                                                                    \
    {                                                                                              \
        "session", FIELD_NAME, AT(session), false, MAX_NAME_BYTES, FIELD_NO_CONFIG, NULL           \
    }

static const struct field ATTACH[] = {
    EXECUTION_ID(false),
    SESSION,
    { "after", FIELD_COUNT, AT(after), false, MAX_SEQ, FIELD_NO_CONFIG, NULL },
};
static const struct field EITHER[] = { EXECUTION_ID(false), SESSION };
static const struct field INPUT[] = {
    EXECUTION_ID(true),
    { "value", FIELD_TEXT, AT(value), true, EXECUTION_MAX_INPUT_BYTES, FIELD_NO_CONFIG, NULL },
};
static const struct field CANCEL[] = { EXECUTION_ID(true) };
#undef AT

/* What an op that names a target may name. */
enum target { TARGET_NONE, TARGET_EXECUTION, TARGET_EITHER };

static const struct {
    const char *name;
    enum stream_op_kind kind;
    const struct field *table; /* execute: see execute_body.h */
    size_t n;
    enum target target;
} OPS[] = {
    { "execute", OP_EXECUTE, NULL, 0, TARGET_NONE },
    { "attach", OP_ATTACH, ATTACH, ARRAY_LEN(ATTACH), TARGET_EITHER },
    { "detach", OP_DETACH, EITHER, ARRAY_LEN(EITHER), TARGET_EITHER },
    { "interrupt", OP_INTERRUPT, EITHER, ARRAY_LEN(EITHER), TARGET_EITHER },
    { "input", OP_INPUT, INPUT, ARRAY_LEN(INPUT), TARGET_EXECUTION },
    { "cancel", OP_CANCEL, CANCEL, ARRAY_LEN(CANCEL), TARGET_EXECUTION },
    { "ping", OP_PING, NULL, 0, TARGET_NONE },
};

static int read_id(struct stream_op *op, struct slice message, struct err *e)
{
    struct slice id;
    if (!json_member(message, "id", &id))
        return err_set(e, ERR_INVALID, "field 'id' is missing: the answers name it");
    if (json_type(id) != JSON_STRING && json_type(id) != JSON_NUMBER)
        return err_set(e, ERR_INVALID, "field 'id' has to be a string or a number");
    if (id.len > STREAM_OP_ID_BYTES)
        return err_set(e, ERR_INVALID, "field 'id' has %zu bytes; the limit is %d", id.len,
                       STREAM_OP_ID_BYTES);
    op->id = id;
    return 0;
}

static int find_op(struct slice message, size_t *ret, struct err *e)
{
    struct slice name;
    if (!json_member_string(message, "op", &name))
        return err_set(e, ERR_INVALID, "field 'op' is missing, or no string");
    for (size_t i = 0; i < ARRAY_LEN(OPS); i++) {
        if (slice_is(name, OPS[i].name)) {
            *ret = i;
            return 0;
        }
    }
    return err_set(
        e, ERR_INVALID,
        "unknown op %s; allowed: execute, attach, detach, interrupt, input, cancel, ping",
        log_quote(name));
}

static int read_target(struct stream_op *op, enum target target, struct err *e)
{
    if (target == TARGET_NONE)
        return 0;
    if (op->execution_id_text && !uuid_parse(slice_str(op->execution_id_text), &op->execution_id))
        return err_set(e, ERR_INVALID, "field 'execution_id' has to be a UUID");
    if (!op->execution_id_text == !op->session)
        return err_set(e, ERR_INVALID, "name one of 'execution_id' and 'session'");
    return 0;
}

static int read_execute(struct stream_op *op, const struct config *config, struct err *e)
{
    if (execute_body_take(&op->fields, "op id", config, &op->execute, e) < 0)
        return -1;
    op->execute.wanted.client = "ws";
    execute_body_decide(&op->execute, true);
    return 0;
}

int stream_op_read(struct stream_op *op, struct slice message, const struct config *config,
                   struct err *e)
{
    size_t i = 0;
    *op = (struct stream_op){ .id = SLICE_LITERAL("null") };
    if (fields_parse(&op->fields, message, e) < 0 || read_id(op, message, e) < 0 ||
        find_op(message, &i, e) < 0)
        return -1;
    op->kind = OPS[i].kind;
    if (op->kind == OP_EXECUTE)
        return read_execute(op, config, e);
    if (fields_take(&op->fields, "op id", OPS[i].table, OPS[i].n, config, op, e) < 0)
        return -1;
    return read_target(op, OPS[i].target, e);
}

void stream_op_done(struct stream_op *op)
{
    fields_done(&op->fields);
}
