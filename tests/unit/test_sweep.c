#include "sandbox/sweep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

struct fixture {
    char path[64];
    int top, trash, other;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(f->path, sizeof f->path, "%.40s/sweep-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->path));
    f->top = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->top >= 0);
    assert_int_equal(mkdirat(f->top, "trash", 0700), 0);
    assert_int_equal(mkdirat(f->top, "other", 0700), 0);
    f->trash = openat(f->top, "trash", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f->other = openat(f->top, "other", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = openat(f->other, "precious", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(f->trash >= 0 && f->other >= 0 && fd >= 0);
    close(fd);
    *state = f;
    return 0;
}

static void sweep_all(struct fixture *f, unsigned budget)
{
    struct err e = ERR_INIT;
    bool more = true;
    for (int i = 0; more; i++) {
        assert_true(i < 100000);
        if (sweep_some(f->trash, budget, &more, &e) < 0)
            fail_msg("%s", e.text);
    }
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    sweep_all(f, 1000);
    assert_int_equal(unlinkat(f->other, "precious", 0), 0); /* whatever was swept, it is there */
    close(f->trash);
    close(f->other);
    assert_int_equal(unlinkat(f->top, "trash", AT_REMOVEDIR), 0); /* so it is empty */
    assert_int_equal(unlinkat(f->top, "other", AT_REMOVEDIR), 0);
    close(f->top);
    assert_int_equal(rmdir(f->path), 0);
    free(f);
    return 0;
}

static void put(int dir, const char *name)
{
    int fd = openat(dir, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0000);
    assert_true(fd >= 0);
    close(fd);
}

static void depth_costs_nothing(void **state)
{
    struct fixture *f = *state;
    int dir = dup(f->trash);
    for (int i = 0; i < 3000; i++) { /* a path of 3000 folders is longer than any path can be */
        assert_int_equal(mkdirat(dir, "d", 0700), 0);
        put(dir, "file");
        int next = openat(dir, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        close(dir);
        dir = next;
    }
    close(dir);
    sweep_all(f, 100);
}

static void links_are_removed_and_not_followed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkdirat(f->trash, "w", 0700), 0);
    int w = openat(f->trash, "w", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(symlinkat("../../other", w, "out"), 0);
    assert_int_equal(symlinkat("/", w, "root"), 0);
    assert_int_equal(symlinkat("out", w, "again"), 0);
    assert_int_equal(symlinkat("../other", f->trash, "top"), 0);
    assert_int_equal(linkat(f->other, "precious", w, "hard", 0), 0);
    close(w);
    sweep_all(f, 1000);
}

static void names_and_modes_do_not_matter(void **state)
{
    struct fixture *f = *state;
    char longest[NAME_MAX + 1];
    memset(longest, 'x', NAME_MAX);
    longest[NAME_MAX] = '\0';
    static const char *const NAMES[] = { "-rf", " ", "\n", "\xff\xfe", "...", "*", "\\", "'\"" };
    assert_int_equal(mkdirat(f->trash, "w", 0700), 0);
    int w = openat(f->trash, "w", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        put(w, NAMES[i]);
    put(w, longest);
    assert_int_equal(mkfifoat(w, "fifo", 0600), 0);
    assert_int_equal(mkdirat(w, "closed", 0700), 0);
    int closed = openat(w, "closed", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    put(closed, "inside");
    close(closed);
    if (geteuid() == 0) { /* as the keeper is */
        assert_int_equal(fchmodat(w, "closed", 0000, 0), 0);
        assert_int_equal(fchmod(w, 0000), 0);
    }
    close(w);
    sweep_all(f, 3);
}

static void a_slice_is_as_small_as_it_is_said(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    bool more = false;
    int n = 0;
    char name[16];
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof name, "%d", i);
        put(f->trash, name);
    }
    assert_int_equal(sweep_some(f->trash, 10, &more, &e), 0);
    assert_true(more);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof name, "%d", i);
        n += faccessat(f->trash, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    }
    assert_int_equal(n, 90);
}

static void nothing_is_nothing_to_do(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    bool more = true;
    assert_int_equal(sweep_some(f->trash, 10, &more, &e), 0);
    assert_false(more);
}

#define WITH_FOLDERS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        WITH_FOLDERS(depth_costs_nothing),
        WITH_FOLDERS(links_are_removed_and_not_followed),
        WITH_FOLDERS(names_and_modes_do_not_matter),
        WITH_FOLDERS(a_slice_is_as_small_as_it_is_said),
        WITH_FOLDERS(nothing_is_nothing_to_do),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
