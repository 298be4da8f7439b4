#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_hub.h"
#include "web/stream_op.h"

#define ID "6fd31de2-3f2b-4b4f-a5e3-9d5d27f3f4c1"

static struct hub *hub;

static int make(void **state)
{
    hub = fake_hub_new(NULL);
    return 0;
}

static int unmake(void **state)
{
    hub_free(hub);
    return 0;
}

static int read_op(struct stream_op *op, const char *text, struct err *e)
{
    return stream_op_read(op, slice_str(text), hub_config(hub), e);
}

static void an_execute_has_the_body_of_rest(void **state)
{
    CLEANUP_STREAM_OP struct stream_op op;
    struct err e = ERR_INIT;
    assert_int_equal(read_op(&op,
                             "{\"op\":\"execute\",\"id\":7,\"code\":\"1\",\"session\":\"s\","
                             "\"queue\":false,\"on_disconnect\":\"interrupt\"}",
                             &e),
                     0);
    const struct execution_request *wanted = &op.execute.wanted;
    assert_int_equal(op.kind, OP_EXECUTE);
    assert_true(slice_is(op.id, "7") && slice_is(wanted->code, "1"));
    assert_string_equal(wanted->session, "s");
    assert_string_equal(wanted->client, "ws");
    assert_true(wanted->no_queue && wanted->interrupt_on_disconnect && wanted->interactive);
}

static void one_with_stdin_asks_nobody(void **state)
{
    CLEANUP_STREAM_OP struct stream_op op;
    struct err e = ERR_INIT;
    assert_int_equal(
        read_op(&op, "{\"op\":\"execute\",\"id\":7,\"code\":\"1\",\"stdin\":\"a\"}", &e), 0);
    assert_true(op.execute.wanted.has_stdin && !op.execute.wanted.interactive);
}

static void the_others_name_their_target(void **state)
{
    static const struct {
        const char *text;
        enum stream_op_kind kind;
        bool has_session;
    } GOOD[] = {
        { "{\"op\":\"attach\",\"id\":\"a\",\"execution_id\":\"" ID "\",\"after\":3}", OP_ATTACH,
          false },
        { "{\"op\":\"attach\",\"id\":\"a\",\"session\":\"s\"}", OP_ATTACH, true },
        { "{\"op\":\"detach\",\"id\":\"a\",\"session\":\"s\"}", OP_DETACH, true },
        { "{\"op\":\"interrupt\",\"id\":\"a\",\"execution_id\":\"" ID "\"}", OP_INTERRUPT, false },
        { "{\"op\":\"input\",\"id\":\"a\",\"execution_id\":\"" ID "\",\"value\":\"\"}", OP_INPUT,
          false },
        { "{\"op\":\"cancel\",\"id\":\"a\",\"execution_id\":\"" ID "\"}", OP_CANCEL, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++) {
        CLEANUP_STREAM_OP struct stream_op op;
        struct err e = ERR_INIT;
        assert_int_equal(read_op(&op, GOOD[i].text, &e), 0);
        assert_int_equal(op.kind, GOOD[i].kind);
        assert_true(slice_is(op.id, "\"a\""));
        assert_int_equal(op.session != NULL, GOOD[i].has_session);
        assert_int_equal(uuid_is_set(&op.execution_id), !GOOD[i].has_session);
        assert_int_equal(op.after, i == 0 ? 3 : 0);
    }
}

static void what_is_refused_names_its_id_when_it_can(void **state)
{
    static const struct {
        const char *text, *id, *says;
    } BAD[] = {
        { "{\"op\":\"ping\",\"id\":1", "null", "line 1" },
        { "[1]", "null", "object" },
        { "{\"op\":\"ping\"}", "null", "'id' is missing" },
        { "{\"op\":\"ping\",\"id\":[1]}", "null", "'id'" },
        { "{\"op\":\"ping\",\"id\":1,\"id\":1}", "null", "id" },
        { "{\"id\":1}", "1", "'op'" },
        { "{\"op\":\"nope\",\"id\":-1.5e3}", "-1.5e3", "unknown op" },
        { "{\"op\":\"execute\",\"id\":\"\\u00fc\"}", "\"\\u00fc\"", "'code' is missing" },
        { "{\"op\":\"attach\",\"id\":1}", "1", "one of" },
        { "{\"op\":\"attach\",\"id\":1,\"execution_id\":null,\"session\":null}", "1", "one of" },
        { "{\"op\":\"cancel\",\"id\":1,\"execution_id\":\"x\"}", "1", "UUID" },
        { "{\"op\":\"detach\",\"id\":1,\"session\":\"s\",\"after\":1}", "1", "unknown field" },
    };
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        CLEANUP_STREAM_OP struct stream_op op;
        struct err e = ERR_INIT;
        assert_int_equal(read_op(&op, BAD[i].text, &e), -1);
        assert_int_equal(e.code, ERR_INVALID);
        if (!strstr(e.text, BAD[i].says) || !slice_is(op.id, BAD[i].id))
            fail_msg("%s: id %.*s, %s", BAD[i].text, (int)op.id.len, op.id.data, e.text);
    }
}

static void texts_above_their_limit_are_too_large(void **state)
{
    CLEANUP_STREAM_OP struct stream_op op;
    CLEANUP_BUF struct buf text = BUF_INIT(4u << 20);
    struct err e = ERR_INIT;
    buf_add_str(&text, "{\"op\":\"input\",\"id\":1,\"execution_id\":\"" ID "\",\"value\":\"");
    memset(buf_room(&text, EXECUTION_MAX_INPUT_BYTES + 1), 'x', EXECUTION_MAX_INPUT_BYTES + 1);
    text.len += EXECUTION_MAX_INPUT_BYTES + 1;
    buf_add_str(&text, "\"}");
    assert_int_equal(stream_op_read(&op, buf_slice(&text), hub_config(hub), &e), -1);
    assert_int_equal(e.code, ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_execute_has_the_body_of_rest),
        cmocka_unit_test(one_with_stdin_asks_nobody),
        cmocka_unit_test(the_others_name_their_target),
        cmocka_unit_test(what_is_refused_names_its_id_when_it_can),
        cmocka_unit_test(texts_above_their_limit_are_too_large),
    };
    return cmocka_run_group_tests(tests, make, unmake);
}
