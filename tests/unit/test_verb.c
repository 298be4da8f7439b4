#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/frame.h"
#include "protocol/verb.h"

#define SANDBOX "\"sandbox_id\":\"4e2a4848-5bcb-4b69-98a9-5120e52e0b67\""
#define CREATE                                                                                     \
    "{\"id\":3,\"verb\":\"create\"," SANDBOX                                                       \
    ",\"user_id\":\"ann\",\"template\":\"slim\",\"workspace\":\"shared\","                         \
    "\"limits\":{\"memory_bytes\":1000,\"cpus\":0.5,\"pids\":9}}"

static enum decode decode(const char *text, struct verb_request *r)
{
    struct err e = ERR_INIT;
    size_t len = strlen(text);
    char *exact = malloc(len ? len : 1); /* so that a sanitizer sees a read behind it */
    memcpy(exact, text, len);
    enum decode d = verb_decode_request(slice_of(exact, len), r, &e);
    free(exact);
    return d;
}

static void bad(const char *text)
{
    struct verb_request r;
    assert_int_equal(decode(text, &r), DECODE_BAD);
}

static void a_create_has_all_its_fields(void **state)
{
    struct verb_request r;
    assert_int_equal(decode(CREATE, &r), DECODE_OK);
    assert_int_equal(r.id, 3);
    assert_int_equal(r.verb, VERB_CREATE);
    assert_string_equal(r.sandbox_id.text, "4e2a4848-5bcb-4b69-98a9-5120e52e0b67");
    assert_string_equal(r.user_id, "ann");
    assert_string_equal(r.template_name, "slim");
    assert_false(r.private_workspace);
    assert_int_equal(r.limits.memory_bytes, 1000);
    assert_int_equal(r.limits.pids, 9);
    assert_true(r.limits.cpus > 0.49 && r.limits.cpus < 0.51);
}

static void what_is_encoded_decodes_to_the_same(void **state)
{
    struct verb_request r = { 0 }, again = { 0 };
    struct err e = ERR_INIT;
    assert_int_equal(decode(CREATE, &r), DECODE_OK);
    CLEANUP_BUF struct buf out = BUF_INIT(4096);
    verb_encode_request(&out, &r);
    struct slice body;
    size_t used;
    assert_int_equal(frame_decode(buf_slice(&out), VERB_MAX_FRAME_BYTES, &body, &used), DECODE_OK);
    assert_int_equal(used, out.len);
    assert_int_equal(verb_decode_request(body, &again, &e), DECODE_OK);
    assert_string_equal(again.sandbox_id.text, r.sandbox_id.text);
    assert_string_equal(again.user_id, r.user_id);
    assert_int_equal(again.limits.memory_bytes, r.limits.memory_bytes);
}

static void fields_that_are_missing_too_many_or_twice_are_bad(void **state)
{
    bad("{\"id\":1,\"verb\":\"destroy\"}");
    bad("{\"id\":1,\"verb\":\"list\"," SANDBOX "}");
    bad("{\"id\":1,\"id\":2,\"verb\":\"list\"}");
    bad("{\"verb\":\"list\"}");
    bad("{\"id\":1}");
    bad("{\"id\":1,\"verb\":\"list\",\"argv\":[\"sh\"]}");
    bad("{\"id\":1,\"verb\":\"exec\"}");
    bad("{\"id\":0,\"verb\":\"list\"}");
    bad("{\"id\":\"1\",\"verb\":\"list\"}");
}

static void names_cannot_be_paths(void **state)
{
    static const char *const NAMES[] = { "",    ".",         "..",       ".x",   "a/b",
                                         "a b", "a\\u0000b", "\xc3\xa9", "a\\nb" };
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        char text[400];
        snprintf(text, sizeof text,
                 "{\"id\":3,\"verb\":\"create\"," SANDBOX
                 ",\"user_id\":\"%s\",\"template\":\"slim\",\"workspace\":\"shared\","
                 "\"limits\":{\"memory_bytes\":1000,\"cpus\":0.5,\"pids\":9}}",
                 NAMES[i]);
        bad(text);
    }
    bad("{\"id\":1,\"verb\":\"destroy\",\"sandbox_id\":\"../../etc\"}");
}

static void limits_are_positive_numbers(void **state)
{
    static const char *const LIMITS[] = {
        "{}",
        "[]",
        "{\"memory_bytes\":0,\"cpus\":1,\"pids\":9}",
        "{\"memory_bytes\":1,\"cpus\":-1,\"pids\":9}",
        "{\"memory_bytes\":1,\"cpus\":1,\"pids\":1.5}",
        "{\"memory_bytes\":1,\"cpus\":1e300,\"pids\":9}",
        "{\"memory_bytes\":1,\"cpus\":1,\"pids\":9,\"privileged\":true}",
    };
    for (size_t i = 0; i < sizeof LIMITS / sizeof *LIMITS; i++) {
        char text[400];
        snprintf(text, sizeof text,
                 "{\"id\":3,\"verb\":\"create\"," SANDBOX
                 ",\"user_id\":\"ann\",\"template\":\"slim\",\"workspace\":\"shared\","
                 "\"limits\":%s}",
                 LIMITS[i]);
        bad(text);
    }
}

static void a_purge_names_a_sandbox_when_it_is_of_a_private_workspace(void **state)
{
    struct verb_request r, again;
    struct err e = ERR_INIT;
    static const char SHARED[] =
        "{\"id\":3,\"verb\":\"purge\",\"user_id\":\"ann\",\"workspace\":\"shared\"}";
    static const char PRIVATE[] =
        "{\"id\":3,\"verb\":\"purge\"," SANDBOX ",\"user_id\":\"ann\",\"workspace\":\"private\"}";
    for (int i = 0; i < 2; i++) {
        assert_int_equal(decode(i ? PRIVATE : SHARED, &r), DECODE_OK);
        assert_int_equal(r.verb, VERB_PURGE);
        assert_int_equal(uuid_is_set(&r.sandbox_id), i);
        CLEANUP_BUF struct buf out = BUF_INIT(4096);
        struct slice body;
        size_t used;
        verb_encode_request(&out, &r);
        assert_int_equal(frame_decode(buf_slice(&out), VERB_MAX_FRAME_BYTES, &body, &used),
                         DECODE_OK);
        assert_int_equal(verb_decode_request(body, &again, &e), DECODE_OK);
        assert_int_equal(again.private_workspace, i);
        assert_string_equal(again.sandbox_id.text, r.sandbox_id.text);
    }
    bad("{\"id\":3,\"verb\":\"purge\",\"user_id\":\"ann\",\"workspace\":\"private\"}");
    bad("{\"id\":3,\"verb\":\"purge\"," SANDBOX ",\"user_id\":\"ann\",\"workspace\":\"shared\"}");
    bad("{\"id\":3,\"verb\":\"purge\",\"user_id\":\"..\",\"workspace\":\"shared\"}");
    bad("{\"id\":3,\"verb\":\"purge\",\"user_id\":\".removed\",\"workspace\":\"shared\"}");
    bad("{\"id\":3,\"verb\":\"purge\",\"user_id\":\"ann\"}");
    assert_int_equal(verb_since(VERB_PURGE), 2);
    assert_int_equal(verb_since(VERB_CREATE), 1);
}

static void replies_and_events_are_told_apart(void **state)
{
    struct verb_reply r;
    assert_int_equal(verb_decode_reply(SLICE_LITERAL("{\"id\":7,\"ok\":true}"), &r), DECODE_OK);
    assert_true(r.ok && r.id == 7);
    assert_int_equal(verb_decode_reply(SLICE_LITERAL("{\"event\":\"images\"}"), &r), DECODE_OK);
    assert_true(r.id == 0);
    assert_string_equal(r.event, "images");
    assert_int_equal(verb_decode_reply(SLICE_LITERAL("{\"ok\":true}"), &r), DECODE_BAD);
}

static void an_error_travels_with_its_code(void **state)
{
    struct err e = ERR_INIT;
    err_set(&e, ERR_QUOTA, "too \"many\"");
    CLEANUP_BUF struct buf out = BUF_INIT(4096);
    verb_encode_error(&out, 9, &e);
    struct verb_reply r;
    assert_int_equal(verb_decode_reply(
                         slice_of(out.data + FRAME_HEADER_BYTES, out.len - FRAME_HEADER_BYTES), &r),
                     DECODE_OK);
    assert_false(r.ok);
    assert_int_equal(r.error.code, ERR_QUOTA);
    assert_string_equal(r.error.text, "too \"many\"");
}

#define BUILD                                                                                      \
    "{\"id\":3,\"verb\":\"build\",\"build_id\":\"4e2a4848-5bcb-4b69-98a9-5120e52e0b67\","          \
    "\"user_id\":\"ann\",\"template\":\"slim\",\"language\":"

static void a_build_names_ids_and_a_language_that_there_is(void **state)
{
    struct verb_request r;
    assert_int_equal(decode(BUILD "\"python\"}", &r), DECODE_OK);
    assert_int_equal(r.verb, VERB_BUILD);
    assert_string_equal(r.build_id.text, "4e2a4848-5bcb-4b69-98a9-5120e52e0b67");
    assert_string_equal(r.language, "python");
    assert_int_equal(verb_since(VERB_BUILD), 3);
    assert_int_equal(decode(BUILD "\"javascript\"}", &r), DECODE_OK);
    bad(BUILD "\"perl\"}");
    bad(BUILD "\"../x\"}");
    bad(BUILD "\"python\",\"packages\":[\"numpy\"]}");
    bad("{\"id\":3,\"verb\":\"build\",\"build_id\":\"..\",\"user_id\":\"ann\",\"template\":"
        "\"slim\","
        "\"language\":\"python\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_create_has_all_its_fields),
        cmocka_unit_test(what_is_encoded_decodes_to_the_same),
        cmocka_unit_test(fields_that_are_missing_too_many_or_twice_are_bad),
        cmocka_unit_test(names_cannot_be_paths),
        cmocka_unit_test(limits_are_positive_numbers),
        cmocka_unit_test(a_build_names_ids_and_a_language_that_there_is),
        cmocka_unit_test(a_purge_names_a_sandbox_when_it_is_of_a_private_workspace),
        cmocka_unit_test(replies_and_events_are_told_apart),
        cmocka_unit_test(an_error_travels_with_its_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
