/* What users have installed, as it lies on disk; and which packages they may have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "kernelhub/allow_list.h"
#include "kernelhub/files_internal.h"
#include "kernelhub/packages_internal.h"
#include "scratch.h"

static const char USER[] = "01234567-89ab-cdef-0123-456789abcdef";

struct fixture {
    char folder[200];
    struct tree tree;
};

static int setup(void **state)
{
    struct fixture *f = zmalloc(sizeof *f);
    struct err e = ERR_INIT;
    scratch_path(f->folder, sizeof f->folder, "packages-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    int fd = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f->tree.due_ms = INT64_MAX;
    assert_int_equal(tree_open(&f->tree, fd, USER, &(struct files_place){ "" }, &e), 0);
    (void)close(fd);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[300];
    tree_close(&f->tree);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", f->folder);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static void make(const struct fixture *f, const char *path)
{
    char command[600];
    (void)snprintf(command, sizeof command, "mkdir -p '%s/%s/%s'", f->folder, USER, path);
    assert_int_equal(system(command), 0);
}

static void packages_are_known_by_their_folders_names(void **state)
{
    struct fixture *f = *state;
    struct packages_list list;
    struct err e = ERR_INIT;
    assert_int_equal(packages_read(&f->tree, "python", &list, &e), 0);
    assert_int_equal(list.n, 0);
    make(f, "packages/python/lib/python3.13/site-packages/Numpy-2.1.dist-info");
    make(f, "packages/python/lib/python3.13/site-packages/a_b-1.dist-info");
    make(f, "packages/python/lib/python3.13/site-packages/numpy");
    make(f, "packages/python/lib/python3.x/site-packages/no-1.dist-info");
    make(f, "packages/python/lib/other/site-packages/no-1.dist-info");
    assert_int_equal(packages_read(&f->tree, "python", &list, &e), 0);
    assert_int_equal(list.n, 2);
    assert_string_equal(packages_list_find(&list, "numpy")->version, "2.1");
    assert_string_equal(packages_list_find(&list, "a-b")->version, "1");
    assert_null(packages_list_find(&list, "no"));
    packages_list_done(&list);
}

static void a_link_among_the_packages_is_not_followed(void **state)
{
    struct fixture *f = *state;
    struct packages_list list;
    struct err e = ERR_INIT;
    char target[300], link[400];
    make(f, "other/site-packages/secret-1.dist-info");
    make(f, "packages/python/lib");
    (void)snprintf(target, sizeof target, "%s/%s/other", f->folder, USER);
    (void)snprintf(link, sizeof link, "%s/%s/packages/python/lib/python3.13", f->folder, USER);
    assert_int_equal(symlink(target, link), 0);
    assert_int_equal(packages_read(&f->tree, "python", &list, &e), -1);
    assert_int_equal(e.code, ERR_FORBIDDEN);
}

static void a_build_is_prepared_with_a_log_that_stays_the_hubs(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct uuid id = uuid_new();
    char path[400], text[20] = "";
    int log = -1;
    assert_int_equal(packages_prepare(&f->tree, &id, SLICE_LITERAL("numpy\n"),
                                      SLICE_LITERAL("scipy<2\n"), &log, &e),
                     0);
    (void)snprintf(path, sizeof path, "%s/%s/building/%s/work/requirements.txt", f->folder, USER,
                   id.text);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, text, sizeof text), 6);
    (void)close(fd);
    assert_string_equal(text, "numpy\n");
    /* what a builder does with its log's name changes nothing about what is read */
    (void)snprintf(path, sizeof path, "%s/%s/building/%s/work/log", f->folder, USER, id.text);
    fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "said", 4), 4);
    (void)close(fd);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(pread(log, text, sizeof text, 0), 4);
    assert_memory_equal(text, "said", 4);
    (void)close(log);
}

static int check(const char *rules, const char *wanted, const char **versions, struct err *e)
{
    static struct allow_list *list;
    struct requirement r;
    allow_list_free(list);
    list = NULL;
    if (!rules)
        return 0;
    assert_int_equal(allow_list_new(REQUIREMENT_PYTHON, "packages/python", rules, &list, e), 0);
    assert_true(requirement_parse(REQUIREMENT_PYTHON, slice_str(wanted), &r));
    return allow_list_check(list, &r, versions, e);
}

static void the_rule_that_allows_most_counts_and_a_refusal_names_it(void **state)
{
    struct err e = ERR_INIT;
    const char *versions = NULL;
    assert_int_equal(check("numpy>=2 num*<1", "numpy==2.5", &versions, &e), 0);
    assert_string_equal(versions, "");
    assert_int_equal(check("numpy>=2 num*", "numpy", &versions, &e), 0);
    assert_string_equal(versions, "");
    assert_int_equal(check("  numpy>=2,<3  ", "NumPy", &versions, &e), 0);
    assert_string_equal(versions, ">=2,<3");
    assert_int_equal(check("a numpy>=2", "numpy==1", &versions, &e), -1);
    assert_int_equal(e.code, ERR_POLICY);
    assert_string_equal(e.rule, "numpy>=2");
    assert_non_null(strstr(e.text, "'numpy'"));
    assert_int_equal(check("a b", "torch", &versions, &e), -1);
    assert_string_equal(e.rule, "packages/python");
    assert_int_equal(check("", "torch", &versions, &e), -1);
    check(NULL, NULL, NULL, NULL);
}

static void rules_bind_what_comes_along_when_they_name_one_package_and_once(void **state)
{
    struct err e = ERR_INIT;
    CLEANUP(allow_list_free) struct allow_list *list = NULL;
    CLEANUP_BUF struct buf out = BUF_INIT(1000), json = BUF_INIT(1000);
    assert_int_equal(allow_list_new(REQUIREMENT_PYTHON, "packages/python",
                                    "a>=1 b b<2 types-*<9 c==1.* types-x<3", &list, &e),
                     0);
    allow_list_write_constraints(list, &out);
    assert_string_equal(out.data, "a>=1\nc==1.*\n");
    allow_list_write(list, &json);
    assert_string_equal(json.data,
                        "[\"a>=1\",\"b\",\"b<2\",\"types-*<9\",\"c==1.*\",\"types-x<3\"]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(packages_are_known_by_their_folders_names, setup, teardown),
        cmocka_unit_test_setup_teardown(a_link_among_the_packages_is_not_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_build_is_prepared_with_a_log_that_stays_the_hubs, setup,
                                        teardown),
        cmocka_unit_test(the_rule_that_allows_most_counts_and_a_refusal_names_it),
        cmocka_unit_test(rules_bind_what_comes_along_when_they_name_one_package_and_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
