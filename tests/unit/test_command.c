#include "kernelhub/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>

static void check_line(const char *cmd, const char *line)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1024);
    command_write_line(slice_str(cmd), &out);
    assert_int_equal(out.len, strlen(line));
    assert_memory_equal(out.data, line, out.len);
}

static void the_line_is_what_one_would_type(void **state)
{
    check_line("[\"ls\",\"-l\",\"/tmp/a_b.c\"]", "ls -l /tmp/a_b.c");
    check_line("[\"echo\",\"a b\",\"\"]", "echo 'a b' ''");
    check_line("[\"\",\"it's\"]", "'' 'it'\\''s'");
    check_line("[\"sh\",\"-c\",\"echo $HOME > x\\n\"]", "sh -c 'echo $HOME > x\n'");
    check_line("[\"~\",\"*\",\"\\u00e9\",\"\\\\\"]", "'~' '*' '\xc3\xa9' '\\'");
}

static void check_order(const char *cwd, const char *order)
{
    struct execution_request r = { .command = SLICE_LITERAL("[\"ls\"]"), .cwd = cwd };
    char *text = command_write_order(&r);
    assert_string_equal(text, order);
    free(text);
}

static void it_runs_beneath_the_workspace_unless_it_says_otherwise(void **state)
{
    check_order(NULL, "{\"argv\":[\"ls\"],\"cwd\":\"/workspace\"}");
    check_order("a/b", "{\"argv\":[\"ls\"],\"cwd\":\"/workspace/a/b\"}");
    check_order("/tmp", "{\"argv\":[\"ls\"],\"cwd\":\"/tmp\"}");
    check_order("\"", "{\"argv\":[\"ls\"],\"cwd\":\"/workspace/\\\"\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_line_is_what_one_would_type),
        cmocka_unit_test(it_runs_beneath_the_workspace_unless_it_says_otherwise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
