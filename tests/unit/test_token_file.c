#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/buf.h"
#include "cmd/token_file.h"
#include "tests/unit/scratch.h"

static void known_lines_are_read_and_others_skipped(void **state)
{
    struct token_file t;
    token_file_parse(
        &t, SLICE_LITERAL("# ours\nurl=http://127.0.0.1:8080\nfoo=bar\nno equals\ntoken=kh_x=y\n"));
    assert_string_equal(t.url, "http://127.0.0.1:8080");
    assert_string_equal(t.token, "kh_x=y");
    assert_string_equal(t.state, "");
}

static void a_value_too_long_counts_as_absent(void **state)
{
    CLEANUP_BUF struct buf text = BUF_INIT(8192);
    struct token_file t;
    buf_add_str(&text, "token=");
    for (int i = 0; i < 128; i++)
        buf_add_char(&text, 'a');
    token_file_parse(&t, buf_slice(&text));
    assert_string_equal(t.token, "");
    token_file_parse(&t, slice_of(text.data, text.len - 1));
    assert_int_equal(strlen(t.token), 127);
}

static void what_is_written_is_private_and_comes_back(void **state)
{
    char folder[128], path[160];
    struct paths_owner owner = { .uid = geteuid(), .gid = getegid() };
    struct token_file t = { .url = "http://h:1", .token = "kh_1", .state = "/s" }, back;
    struct err e = ERR_INIT;
    struct stat st;

    assert_non_null(mkdtemp(scratch_path(folder, sizeof folder, "token.XXXXXX")));
    (void)snprintf(path, sizeof path, "%s/a/b/token", folder);
    assert_int_equal(token_file_read(path, &back, &e), 0);
    assert_string_equal(back.token, "");
    assert_int_equal(token_file_write(path, &t, &owner, &e), 0);
    assert_int_equal(token_file_read(path, &back, &e), 0);
    assert_memory_equal(&t, &back, sizeof t);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/a/b", folder);
    assert_int_equal(rmdir(path), 0); /* no temporary file is left */
    (void)snprintf(path, sizeof path, "%s/a", folder);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_lines_are_read_and_others_skipped),
        cmocka_unit_test(a_value_too_long_counts_as_absent),
        cmocka_unit_test(what_is_written_is_private_and_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
