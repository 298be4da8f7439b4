#include "files_fixture.h"

#define KIB 1024u

static void begin(struct fixture *f, uint64_t bytes, uint64_t files)
{
    f->tree.account = account_new();
    account_set_limit(f->tree.account, (struct files_usage){ .bytes = bytes, .files = files });
}

static void end(struct fixture *f)
{
    account_free(TAKE(f->tree.account));
}

static struct files_usage used(struct fixture *f)
{
    struct files_usage now, limit;
    struct err e = ERR_INIT;
    assert_int_equal(files_usage(&f->tree, &now, &limit, &e), 0);
    return now;
}

/* Of one byte each, in so many KiB. */
static enum err_code write_file(struct fixture *f, const char *path, size_t kib)
{
    CLEANUP(draft_free) struct draft *d = NULL;
    struct files_stat st;
    struct err e = ERR_INIT;
    char block[KIB];
    memset(block, 'x', sizeof block);
    if (files_draft(&f->tree, &d, &e) < 0)
        return e.code;
    for (size_t i = 0; i < kib; i++)
        if (draft_add(d, slice_of(block, sizeof block), &e) < 0)
            return e.code;
    return draft_commit(d, &f->tree, path, true, &st, &e) < 0 ? e.code : ERR_NONE;
}

static void what_is_written_counts(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    begin(f, 1 << 20, 100);
    assert_true(used(f).bytes == 0 && used(f).files == 0);
    assert_int_equal(write_file(f, "a", 100), ERR_NONE);
    assert_true(used(f).bytes >= 100 * KIB && used(f).bytes < 200 * KIB);
    assert_int_equal(write_file(f, "a", 200), ERR_NONE);
    assert_true(used(f).files == 1 && used(f).bytes >= 200 * KIB && used(f).bytes < 300 * KIB);
    assert_int_equal(files_make_folder(&f->tree, "d", &e), 0);
    assert_int_equal(files_copy(&f->tree, "a", "d/a", false, &e), 0);
    assert_true(used(f).files == 3 && used(f).bytes >= 400 * KIB);
    assert_int_equal(files_delete(&f->tree, "a", false, &e), 0);
    assert_true(used(f).files == 2 && used(f).bytes < 300 * KIB);
    assert_int_equal(files_delete(&f->tree, "d", true, &e), 0);
    assert_true(used(f).files == 0 && used(f).bytes == 0);
    end(f);
}

static void what_does_not_fit_is_refused_and_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct files_stat st;
    begin(f, 1 << 20, 100);
    assert_int_equal(write_file(f, "a", 600), ERR_NONE);
    assert_int_equal(write_file(f, "b", 600), ERR_QUOTA);
    assert_int_equal(files_stat(&f->tree, "b", &st, &e), -1);
    assert_int_equal(files_copy(&f->tree, "a", "b", false, &e), -1);
    assert_int_equal(e.code, ERR_QUOTA);
    assert_int_equal(write_file(f, "b", 300), ERR_NONE); /* what was refused gave its room back */
    assert_int_equal(files_delete(&f->tree, "a", false, &e), 0);
    assert_int_equal(write_file(f, "a", 600), ERR_NONE); /* at once */
    end(f);
}

/* Downloads of a slow client: by them a user held many times what he may. */
static void what_is_deleted_while_it_is_read_counts_until_it_is_closed(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct files_stat st;
    struct file *one = NULL, *two = NULL;
    begin(f, 1 << 20, 100);
    assert_int_equal(write_file(f, "a", 600), ERR_NONE);
    assert_int_equal(files_open(&f->tree, "a", &one, &st, &e), 0);
    assert_int_equal(files_open(&f->tree, "a", &two, &st, &e), 0);
    assert_int_equal(files_delete(&f->tree, "a", false, &e), 0);
    assert_int_equal(account_held(f->tree.account) / (600 * KIB), 1);
    assert_true(used(f).bytes >= 600 * KIB && used(f).bytes < 700 * KIB && used(f).files == 0);
    assert_int_equal(write_file(f, "b", 600), ERR_QUOTA);
    file_close(one);
    assert_int_equal(write_file(f, "b", 600), ERR_QUOTA);
    file_close(two);
    assert_int_equal(write_file(f, "b", 600), ERR_NONE);
    assert_int_equal(account_held(f->tree.account), 0);
    end(f);
}

/* An upload went below the floor of the disk, and sandboxes were reset for it that had nothing to do with it. */
static void what_is_to_be_free_on_the_disk_is_left_free(void **state)
{
    struct fixture *f = *state;
    struct draft *d = NULL;
    struct err e = ERR_INIT;
    begin(f, 8 << 20, 100);
    account_set_min_free(f->tree.account, (uint64_t)1 << 60);
    assert_int_equal(files_draft(&f->tree, &d, &e), 0);
    assert_int_equal(draft_expect(d, &f->tree, 2 << 20, &e), -1);
    assert_int_equal(e.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(e.text, "limits/min_free_bytes"));
    draft_free(d);
    assert_int_equal(write_file(f, "a", 2048), ERR_UNAVAILABLE); /* of unknown length */
    assert_int_equal(write_file(f, "a", 1024), ERR_NONE);        /* a small one is saved */
    account_set_min_free(f->tree.account, 0);
    assert_int_equal(write_file(f, "a", 2048), ERR_NONE);
    end(f);
}

static void room_that_is_expected_is_kept(void **state)
{
    struct fixture *f = *state;
    struct draft *d = NULL, *other = NULL;
    struct err e = ERR_INIT;
    begin(f, 1 << 20, 100);
    assert_int_equal(files_draft(&f->tree, &d, &e), 0);
    assert_int_equal(draft_expect(d, &f->tree, 2 << 20, &e), -1);
    assert_int_equal(e.code, ERR_QUOTA);
    assert_int_equal(draft_expect(d, &f->tree, 800 * KIB, &e), 0);
    assert_int_equal(files_draft(&f->tree, &other, &e), 0);
    assert_int_equal(draft_expect(other, &f->tree, 800 * KIB, &e), -1);
    draft_free(d);
    assert_int_equal(draft_expect(other, &f->tree, 800 * KIB, &e), 0);
    account_set_limit(f->tree.account,
                      (struct files_usage){ .bytes = (uint64_t)1 << 62, .files = 100 });
    assert_int_equal(draft_expect(other, &f->tree, (uint64_t)1 << 60, &e), -1);
    assert_int_equal(e.code, ERR_UNAVAILABLE); /* no disk has that */
    draft_free(other);
    assert_true(used(f).bytes == 0);
    end(f);
}

static void what_has_its_place_is_counted_once_and_not_kept_room_for(void **state)
{
    struct fixture *f = *state;
    struct draft *d = NULL, *other = NULL;
    struct files_stat st;
    struct err e = ERR_INIT;
    char block[KIB];
    memset(block, 'x', sizeof block);
    begin(f, 1 << 20, 100);
    assert_int_equal(files_draft(&f->tree, &d, &e), 0);
    assert_int_equal(draft_expect(d, &f->tree, 500 * KIB, &e), 0);
    for (int i = 0; i < 500; i++)
        assert_int_equal(draft_add(d, slice_of(block, sizeof block), &e), 0);
    assert_int_equal(draft_commit(d, &f->tree, "a", true, &st, &e), 0);
    assert_true(used(f).bytes < 600 * KIB);
    assert_int_equal(files_draft(&f->tree, &other, &e), 0);
    assert_int_equal(draft_expect(other, &f->tree, 400 * KIB, &e), 0); /* d is freed later */
    draft_free(d);
    draft_free(other);
    assert_true(used(f).bytes >= 500 * KIB && used(f).bytes < 600 * KIB);
    end(f);
}

static void too_many_files_are_refused(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    begin(f, 1 << 20, 3);
    assert_int_equal(write_file(f, "a", 1), ERR_NONE);
    assert_int_equal(write_file(f, "b", 1), ERR_NONE);
    assert_int_equal(files_make_parents(&f->tree, "x/y/z", &e), -1);
    assert_int_equal(e.code, ERR_QUOTA);
    assert_int_equal(write_file(f, "c", 1), ERR_QUOTA);
    assert_int_equal(write_file(f, "b", 2), ERR_NONE); /* it replaces one */
    end(f);
}

/* Nobody says that the sandbox has made room. */
static void what_is_refused_was_counted_a_moment_ago(void **state)
{
    struct fixture *f = *state;
    char path[600];
    begin(f, 1 << 20, 100);
    assert_int_equal(write_file(f, "a", 900), ERR_NONE);
    assert_int_equal(write_file(f, "b", 900), ERR_QUOTA);
    at(f, "a", path);
    assert_int_equal(unlink(path), 0);
    zclock_sleep(1100);
    assert_int_equal(write_file(f, "b", 900), ERR_NONE);
    end(f);
}

static void all_workspaces_of_a_user_count(void **state)
{
    struct fixture *f = *state;
    struct files_usage now;
    struct err e = ERR_INIT;
    struct draft *d = NULL;
    char path[600], name[600];
    struct stat st;
    put(f, "a", "x");
    at(f, "a", name);
    at(f, "also-a", path);
    assert_int_equal(link(name, path), 0);
    at(f, "../private-x", path);
    assert_int_equal(mkdir(path, 0700), 0);
    put(f, "../private-x/b", "x");
    assert_int_equal(files_draft(&f->tree, &d, &e), 0);
    assert_int_equal(draft_add(d, SLICE_LITERAL("under way"), &e), 0);
    assert_int_equal(files_count(&f->tree, &now, &e), 0);
    assert_int_equal(stat(name, &st), 0);
    assert_true(now.files == 3 && now.unseen == 0);
    assert_int_equal(now.bytes, 2 * 512 * (uint64_t)st.st_blocks); /* two names are one file */
    draft_free(d);
}

/* It is not counted, and that is said. */
static void what_is_nested_too_deep_is_unseen(void **state)
{
    struct fixture *f = *state;
    char here[500], path[600];
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(f->inside), 0);
    for (int i = 0; i < 260; i++)
        assert_true(mkdir("d", 0755) == 0 && chdir("d") == 0);
    int fd = open("big", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(posix_fallocate(fd, 0, 8 << 20), 0);
    (void)close(fd);
    assert_int_equal(chdir(here), 0);
    begin(f, 1 << 30, 1000);
    assert_true(used(f).unseen == 1 && used(f).files == 256 && used(f).bytes < 8 << 20);
    end(f);
    (void)snprintf(path, sizeof path, "rm -rf '%s/d'", f->inside);
    assert_int_equal(system(path), 0);
}

static int only_old(const void *arg, const struct files_stat *there, struct err *e)
{
    return there && there->bytes == *(const uint64_t *)arg
               ? 0
               : err_set(e, ERR_PRECONDITION, "it is another one");
}

static void a_guard_is_asked_before_anything_goes(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    uint64_t wanted = 3;
    struct files_stat st;
    put(f, "a", "one");
    files_guard(&f->tree, only_old, &wanted);
    assert_int_equal(write_file(f, "a", 1), ERR_NONE);
    assert_int_equal(write_file(f, "a", 2), ERR_PRECONDITION);
    assert_int_equal(write_file(f, "b", 1), ERR_PRECONDITION);
    assert_int_equal(files_delete(&f->tree, "a", true, &e), -1);
    assert_int_equal(e.code, ERR_PRECONDITION);
    assert_int_equal(files_rename(&f->tree, "a", "b", false, &e), -1);
    assert_int_equal(e.code, ERR_PRECONDITION);
    wanted = KIB;
    assert_int_equal(files_rename(&f->tree, "a", "b", false, &e), 0);
    assert_int_equal(files_delete(&f->tree, "b", false, &e), 0);
    files_guard(&f->tree, NULL, NULL);
    assert_int_equal(files_stat(&f->tree, "b", &st, &e), -1);
    assert_int_equal(write_file(f, "b", 1), ERR_NONE);
}

static void parents_are_made_and_no_link_is_followed(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct files_stat st;
    assert_int_equal(files_make_parents(&f->tree, "a/b/c", &e), 0);
    assert_int_equal(files_stat(&f->tree, "a/b", &st, &e), 0);
    assert_int_equal(files_stat(&f->tree, "a/b/c", &st, &e), -1);
    assert_int_equal(files_make_parents(&f->tree, "a/b/c", &e), 0);
    assert_int_equal(files_make_parents(&f->tree, "plain", &e), 0);
    put(f, "file", "x");
    assert_int_equal(files_make_parents(&f->tree, "file/x", &e), -1);
    assert_int_equal(e.code, ERR_CONFLICT);
    link_to(f, "/tmp", "out");
    assert_int_equal(files_make_parents(&f->tree, "out/x/y", &e), -1);
    assert_int_equal(e.code, ERR_FORBIDDEN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_counts),
        TEST(what_does_not_fit_is_refused_and_leaves_nothing),
        TEST(what_is_deleted_while_it_is_read_counts_until_it_is_closed),
        TEST(what_is_to_be_free_on_the_disk_is_left_free),
        TEST(room_that_is_expected_is_kept),
        TEST(what_has_its_place_is_counted_once_and_not_kept_room_for),
        TEST(too_many_files_are_refused),
        TEST(what_is_refused_was_counted_a_moment_ago),
        TEST(all_workspaces_of_a_user_count),
        TEST(what_is_nested_too_deep_is_unseen),
        TEST(a_guard_is_asked_before_anything_goes),
        TEST(parents_are_made_and_no_link_is_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
