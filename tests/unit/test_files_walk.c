#include "files_fixture.h"

#include <sys/time.h>

struct seen {
    char text[1 << 16]; /* "a a/b c!": a path, '!' when it is closed */
    size_t n;
};

static int see(void *arg, const struct files_found *found, struct err *e)
{
    struct seen *s = arg;
    size_t len = strlen(s->text);
    assert_string_equal(found->name, files_path_name(found->path));
    (void)snprintf(s->text + len, sizeof s->text - len, "%s%s%s", len ? " " : "", found->path,
                   found->is_closed ? "!" : "");
    s->n++;
    return 0;
}

static const char *walk(struct fixture *f, const char *path, const char *pattern, unsigned depth)
{
    static struct seen s;
    char next[FILES_MAX_PATH + 1];
    struct err e = ERR_INIT;
    const struct files_walk want = { .pattern = slice_str(pattern),
                                     .depth = depth,
                                     .limit = 10000 };
    s = (struct seen){ .n = 0 };
    assert_int_equal(files_walk(&f->tree, path, &want, see, &s, next, &e), 0);
    assert_string_equal(next, "");
    return s.text;
}

static void folder(struct fixture *f, const char *name)
{
    char path[600];
    at(f, name, path);
    assert_int_equal(mkdir(path, 0755), 0);
}

static void make_some(struct fixture *f)
{
    folder(f, "a");
    folder(f, "a/b");
    folder(f, "a.d");
    put(f, "a/b/x.csv", "x");
    put(f, "a/y.csv", "y");
    put(f, "a.d/z.txt", "z");
    put(f, "w.csv", "w");
    link_to(f, "a", "link");
}

static void a_folder_stands_before_what_is_in_it(void **state)
{
    struct fixture *f = *state;
    make_some(f);
    assert_string_equal(walk(f, "", NULL, 64), "a a/b a/b/x.csv a/y.csv a.d a.d/z.txt link w.csv");
    assert_string_equal(walk(f, "", NULL, 1), "a a.d link w.csv");
    assert_string_equal(walk(f, "", NULL, 2), "a a/b a/y.csv a.d a.d/z.txt link w.csv");
    assert_string_equal(walk(f, "a", NULL, 64), "a/b a/b/x.csv a/y.csv");
}

static void a_pattern_is_of_the_name_or_of_the_path(void **state)
{
    struct fixture *f = *state;
    make_some(f);
    assert_string_equal(walk(f, "", "*.csv", 64), "a/b/x.csv a/y.csv w.csv");
    assert_string_equal(walk(f, "", "/*.csv", 64), "w.csv");
    assert_string_equal(walk(f, "", "a/**", 64), "a/b a/b/x.csv a/y.csv");
    assert_string_equal(walk(f, "a", "b/*", 64), "a/b/x.csv");
    assert_string_equal(walk(f, "", "nothing", 64), "");
}

static void pages_join_without_a_seam(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    make_some(f);
    for (unsigned limit = 1; limit <= 9; limit++) {
        char next[FILES_MAX_PATH + 1] = "", after[FILES_MAX_PATH + 1];
        struct seen s = { .n = 0 };
        unsigned n_pages = 0;
        do {
            memcpy(after, next, sizeof after);
            const struct files_walk want = { .depth = 64, .limit = limit, .after = after };
            assert_int_equal(files_walk(&f->tree, "", &want, see, &s, next, &e), 0);
            n_pages++;
        } while (next[0]);
        assert_string_equal(s.text, "a a/b a/b/x.csv a/y.csv a.d a.d/z.txt link w.csv");
        assert_int_equal(n_pages, (8 + limit - 1) / limit);
    }
}

static void a_page_goes_on_behind_what_has_gone(void **state)
{
    struct fixture *f = *state;
    struct seen s = { .n = 0 };
    struct err e = ERR_INIT;
    char next[FILES_MAX_PATH + 1];
    make_some(f);
    struct files_walk want = { .depth = 64, .limit = 100, .after = "a/b/gone/x" };
    assert_int_equal(files_walk(&f->tree, "", &want, see, &s, next, &e), 0);
    assert_string_equal(s.text, "a/b/x.csv a/y.csv a.d a.d/z.txt link w.csv");
    want.after = "b";
    assert_int_equal(files_walk(&f->tree, "a", &want, see, &s, next, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
}

static void more_names_than_a_batch_holds_all_come(void **state)
{
    struct fixture *f = *state;
    struct seen *s = zmalloc(sizeof *s);
    struct err e = ERR_INIT;
    char name[32], next[FILES_MAX_PATH + 1] = "", after[FILES_MAX_PATH + 1], path[600];
    const char *deep = "1/2/3/4/5";
    folder(f, "1");
    folder(f, "1/2");
    folder(f, "1/2/3");
    folder(f, "1/2/3/4");
    folder(f, deep);
    for (int i = 0; i < 2000; i++) {
        (void)snprintf(name, sizeof name, "%s/%04d", deep, i * 7919 % 2000);
        at(f, name, path);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        (void)close(fd);
    }
    do {
        memcpy(after, next, sizeof after);
        const struct files_walk want = {
            .pattern = SLICE_LITERAL("0*"), .depth = 64, .limit = 300, .after = after
        };
        assert_int_equal(files_walk(&f->tree, "", &want, see, s, next, &e), 0);
    } while (next[0]);
    assert_int_equal(s->n, 1000);
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof name, "%s/%04d", deep, i);
        assert_memory_equal(s->text + (size_t)i * (strlen(name) + 1), name, strlen(name));
    }
    free(s);
}

static void what_cannot_be_looked_into_says_so(void **state)
{
    struct fixture *f = *state;
    char path[600];
    if (geteuid() == 0) /* may look everywhere */
        skip();
    folder(f, "shut");
    put(f, "shut/x", "x");
    at(f, "shut", path);
    assert_int_equal(chmod(path, 0), 0);
    assert_string_equal(walk(f, "", NULL, 64), "shut!");
    assert_string_equal(walk(f, "", NULL, 1), "shut");
    assert_int_equal(chmod(path, 0755), 0);
}

static void a_tree_that_is_too_deep_says_where(void **state)
{
    struct fixture *f = *state;
    struct seen s = { .n = 0 };
    struct err e = ERR_INIT;
    char path[600] = "d", next[FILES_MAX_PATH + 1];
    for (int i = 1; i <= 70; i++) {
        folder(f, path);
        (void)strcat(path, "/d");
    }
    const struct files_walk want = { .depth = 1000, .limit = 1000 };
    assert_int_equal(files_walk(&f->tree, "", &want, see, &s, next, &e), 0);
    assert_int_equal(s.n, FILES_MAX_DEPTH);
    assert_int_equal(s.text[strlen(s.text) - 1], '!');
}

static void names_that_are_no_text_fit_as_text(void **state)
{
    struct fixture *f = *state;
    put(f, "x\xff.csv", "x");
    assert_string_equal(walk(f, "", "x?.csv", 1), "x\xff.csv");
    assert_string_equal(walk(f, "", "x\xee\xbf\xbf.csv", 1), "x\xff.csv"); /* U+EFFF */
}

static int64_t now_us(void)
{
    struct timeval now;
    (void)gettimeofday(&now, NULL);
    return (int64_t)now.tv_sec * 1000000 + now.tv_usec;
}

static int count(void *arg, const struct files_found *found, struct err *e)
{
    ++*(unsigned *)arg;
    return 0;
}

static void ten_thousand_names_are_quick(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    char name[32], path[600], next[FILES_MAX_PATH + 1];
    unsigned n = 0;
    for (int i = 0; i < 10000; i++) {
        (void)snprintf(name, sizeof name, "%05d", i * 7919 % 10000);
        at(f, name, path);
        (void)close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    }
    const struct files_walk want = { .depth = 1, .limit = 10000 };
    int64_t begun = now_us();
    assert_int_equal(files_walk(&f->tree, "", &want, count, &n, next, &e), 0);
    assert_int_equal(n, 10000);
    print_message("10,000 names: %lld us\n", (long long)(now_us() - begun));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_folder_stands_before_what_is_in_it),
        TEST(a_pattern_is_of_the_name_or_of_the_path),
        TEST(pages_join_without_a_seam),
        TEST(a_page_goes_on_behind_what_has_gone),
        TEST(more_names_than_a_batch_holds_all_come),
        TEST(what_cannot_be_looked_into_says_so),
        TEST(a_tree_that_is_too_deep_says_where),
        TEST(names_that_are_no_text_fit_as_text),
        TEST(ten_thousand_names_are_quick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
