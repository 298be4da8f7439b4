#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "kernelhub/changes_internal.h"
#include "scratch.h"

#define WORKSPACE   "01234567-89ab-cdef-0123-456789abcdef/shared"
#define MAX_FOLDERS 20
#define PATIENCE_MS 10000

/* A workspace that is watched. What a sandbox would do, the test does below `inside`. */
struct fixture {
    char state[200], inside[300];
    struct loop *loop;
    struct changes *changes;
    struct watched *watched;
    struct changes_run *run;
    int came, timer;
    char told[1 << 22];
};

static void on_told(void *arg, struct slice fields)
{
    struct fixture *f = arg;
    f->came++;
    assert_true(fields.len < sizeof f->told);
    memcpy(f->told, fields.data ? fields.data : "", fields.len);
    f->told[fields.len] = '\0';
}

static int look(struct loop *loop, int timer, void *arg)
{
    struct fixture *f = arg;
    if (f->came)
        return -1;
    f->timer = loop_timer(loop, 1, look, f);
    return 0;
}

static void begin(struct fixture *f)
{
    f->run = changes_begin(f->watched, NULL);
}

/* What the run is told, as JSON members. */
static const char *end_run(struct fixture *f, struct changes_run *run)
{
    CLEANUP_BUF struct buf fields = BUF_INIT(1 << 20);
    f->came = 0;
    if (changes_end(run, &fields, on_told, f)) {
        on_told(f, buf_slice(&fields));
        return f->told;
    }
    f->timer = loop_timer(f->loop, 1, look, f);
    (void)loop_start(f->loop);
    assert_int_equal(f->came, 1);
    return f->told;
}

static const char *end(struct fixture *f)
{
    return end_run(f, TAKE(f->run));
}

static void wait_until_watched(struct fixture *f)
{
    for (int64_t due_ms = zclock_mono() + PATIENCE_MS; zclock_mono() < due_ms; zclock_sleep(1)) {
        begin(f);
        if (!strstr(end(f), "first time"))
            return;
    }
    fail_msg("it is never watched");
}

static int setup(void **state)
{
    struct fixture *f = zmalloc(sizeof *f);
    struct err e = ERR_INIT;
    assert_non_null(mkdtemp(scratch_path(f->state, sizeof f->state, "changes-XXXXXX")));
    f->loop = loop_new();
    if (changes_new(f->loop, f->state, MAX_FOLDERS, &f->changes, &e) < 0)
        fail_msg("%s", e.text);
    (void)snprintf(f->inside, sizeof f->inside, "%s/workspaces/%s", f->state, WORKSPACE);
    f->watched = changes_watch(f->changes, WORKSPACE);
    wait_until_watched(f);
    assert_int_equal(chdir(f->inside), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[300];
    changes_unwatch(f->watched);
    changes_free(f->changes);
    loop_free(f->loop);
    assert_int_equal(chdir("/"), 0);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", f->state);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static void put(const char *path, size_t n)
{
    static const char bytes[65537];
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    assert_true(fd >= 0 && n <= sizeof bytes);
    assert_int_equal(write(fd, bytes, n), n);
    assert_int_equal(close(fd), 0);
}

#define CREATED(path, bytes)  "{\"path\":\"" path "\",\"bytes\":" bytes ",\"change\":\"created\"}"
#define MODIFIED(path, bytes) "{\"path\":\"" path "\",\"bytes\":" bytes ",\"change\":\"modified\"}"
#define DELETED(path)         "{\"path\":\"" path "\",\"bytes\":0,\"change\":\"deleted\"}"
#define ITEMS(items)          ",\"items\":[" items "]"

static void a_run_that_changes_nothing_is_told_so_at_once(void **state)
{
    struct fixture *f = *state;
    CLEANUP_BUF struct buf fields = BUF_INIT(1 << 20);
    begin(f);
    assert_true(changes_end(TAKE(f->run), &fields, on_told, f));
    assert_int_equal(fields.len, 0);
}

static void it_is_told_what_it_created_modified_and_deleted(void **state)
{
    struct fixture *f = *state;
    begin(f);
    put("a", 3);
    put("b", 0);
    assert_string_equal(end(f), ITEMS(CREATED("a", "3") "," CREATED("b", "0")));
    begin(f);
    put("a", 4);
    assert_int_equal(unlink("b"), 0);
    assert_string_equal(end(f), ITEMS(MODIFIED("a", "7") "," DELETED("b")));
}

static void what_was_done_between_two_runs_is_nobodys(void **state)
{
    struct fixture *f = *state;
    put("before", 1);
    begin(f);
    assert_string_equal(end(f), "");
    put("between", 1);
    begin(f);
    put("mine", 1);
    assert_string_equal(end(f), ITEMS(CREATED("mine", "1")));
}

static void images_and_small_texts_have_a_media_type(void **state)
{
    struct fixture *f = *state;
    begin(f);
    put("i.PNG", 65537);
    put("t.csv", 65536);
    put("big.txt", 65537);
    put("m.mp4", 1);
    const char *told = end(f);
    assert_non_null(strstr(
        told, "\"path\":\"i.PNG\",\"bytes\":65537,\"change\":\"created\",\"mime\":\"image/png\"}"));
    assert_non_null(strstr(
        told, "\"path\":\"t.csv\",\"bytes\":65536,\"change\":\"created\",\"mime\":\"text/csv\"}"));
    assert_non_null(strstr(told, CREATED("big.txt", "65537")));
    assert_non_null(strstr(told, CREATED("m.mp4", "1")));
}

static void what_comes_and_goes_is_nobodys_business(void **state)
{
    struct fixture *f = *state;
    begin(f);
    put("t", 1);
    assert_int_equal(unlink("t"), 0);
    assert_string_equal(end(f), "");
}

/* It fills the disk all the same: quota.c has to know who it is. */
static void what_is_written_to_a_file_without_a_name_is_seen_and_changes_no_path(void **state)
{
    struct fixture *f = *state;
    begin(f);
    int fd = open("t", O_WRONLY | O_CREAT, 0644);
    assert_true(fd >= 0);
    assert_int_equal(unlink("t"), 0);
    assert_string_equal(end(f), "");
    uint64_t before = changes_count_of(f->watched);
    begin(f);
    assert_int_equal(write(fd, "xyz", 3), 3);
    assert_string_equal(end(f), "");
    assert_true(changes_count_of(f->watched) > before);
    begin(f);
    put("t", 5); /* another one */
    assert_int_equal(write(fd, "xyz", 3), 3);
    assert_string_equal(end(f), ITEMS(CREATED("t", "5")));
    assert_int_equal(close(fd), 0);
}

static void a_file_that_was_only_opened_for_writing_is_not_modified(void **state)
{
    struct fixture *f = *state;
    put("a", 1);
    zclock_sleep(30); /* above the slack of the clock that files have */
    begin(f);
    put("a", 0);
    assert_string_equal(end(f), "");
}

static void a_file_that_is_replaced_is_modified(void **state)
{
    struct fixture *f = *state;
    put("a", 1);
    begin(f);
    put("a.tmp", 2);
    assert_int_equal(rename("a.tmp", "a"), 0);
    assert_string_equal(end(f), ITEMS(MODIFIED("a", "2")));
}

static void folders_that_are_new_are_looked_into(void **state)
{
    struct fixture *f = *state;
    begin(f);
    assert_int_equal(mkdir("d", 0700), 0);
    assert_int_equal(mkdir("d/e", 0700), 0);
    put("d/e/f", 1);
    assert_string_equal(end(f), ITEMS(CREATED("d/e/f", "1")));
    begin(f);
    put("d/e/f", 1);
    put("d/g", 1);
    assert_string_equal(end(f), ITEMS(MODIFIED("d/e/f", "2") "," CREATED("d/g", "1")));
}

static void a_folder_that_moves_takes_its_files_along(void **state)
{
    struct fixture *f = *state;
    static const char *const TOLD[] = { DELETED("old/in/a"), CREATED("new/in/a", "1"),
                                        CREATED("new/in/b", "1") };
    size_t bytes = strlen(ITEMS(",,"));
    begin(f);
    assert_int_equal(mkdir("old", 0700), 0);
    assert_int_equal(mkdir("old/in", 0700), 0);
    put("old/in/a", 1);
    assert_string_equal(end(f), ITEMS(CREATED("old/in/a", "1")));
    begin(f);
    assert_int_equal(rename("old", "new"), 0);
    put("new/in/b", 1);
    const char *told = end(f); /* in any order: what is seen first */
    for (size_t i = 0; i < ARRAY_LEN(TOLD); i++) {
        assert_non_null(strstr(told, TOLD[i]));
        bytes += strlen(TOLD[i]);
    }
    assert_int_equal(strlen(told), bytes);
    begin(f);
    put("new/in/a", 1);
    assert_string_equal(end(f), ITEMS(MODIFIED("new/in/a", "2")));
}

static void what_the_hub_does_itself_is_no_runs(void **state)
{
    struct fixture *f = *state;
    begin(f);
    struct changes_own *own = changes_own_begin(f->changes, WORKSPACE, "saved");
    assert_non_null(own);
    put("saved", 1);
    changes_own_end(own);
    own = changes_own_begin(f->changes, WORKSPACE, "folder");
    assert_int_equal(mkdir("folder", 0700), 0);
    put("folder/in-it", 1);
    changes_own_end(own);
    put("mine", 1);
    assert_string_equal(end(f), ITEMS(CREATED("mine", "1")));
    begin(f);
    put("saved", 1);
    put("folder/mine", 1);
    assert_string_equal(end(f), ITEMS(MODIFIED("saved", "2") "," CREATED("folder/mine", "1")));
}

static void of_a_workspace_that_nobody_uses_nothing_is_the_hubs_own(void **state)
{
    struct fixture *f = *state;
    assert_null(changes_own_begin(f->changes, "another/shared", "a"));
    assert_null(changes_own_begin(NULL, WORKSPACE, "a"));
    changes_own_end(NULL);
}

static void two_runs_at_once_are_both_told_and_know_it(void **state)
{
    struct fixture *f = *state;
    begin(f);
    put("a", 1);
    struct changes_run *second = changes_begin(f->watched, NULL);
    put("b", 1);
    assert_string_equal(end_run(f, second), ITEMS(CREATED("b", "1")) ",\"shared\":true");
    put("c", 1);
    assert_string_equal(end(f), ITEMS(CREATED("a", "1") "," CREATED("b", "1") "," CREATED(
                                    "c", "1")) ",\"shared\":true");
}

static void links_are_not_followed(void **state)
{
    struct fixture *f = *state;
    char outside[300], path[320];
    (void)snprintf(outside, sizeof outside, "%s/outside", f->state);
    (void)snprintf(path, sizeof path, "%s/secret", outside);
    assert_int_equal(mkdir(outside, 0700), 0);
    begin(f);
    assert_int_equal(mkdir("d", 0700), 0);
    put("d/a", 1);
    (void)end(f);
    begin(f);
    assert_int_equal(symlink(outside, "link"), 0);
    assert_int_equal(rename("d", "gone"), 0);
    assert_int_equal(symlink(outside, "d"), 0);
    put(path, 7);
    assert_string_equal(end(f), ITEMS(DELETED("d/a") "," CREATED("gone/a", "1")));
    begin(f);
    put(path, 7);
    assert_string_equal(end(f), "");
}

static void above_the_bound_of_folders_every_run_is_told_so(void **state)
{
    struct fixture *f = *state;
    begin(f);
    for (int i = 0; i < MAX_FOLDERS + 5; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "d%d", i);
        assert_int_equal(mkdir(name, 0700), 0);
    }
    assert_non_null(
        strstr(end(f), "\"incomplete\":\"the workspace has more folders than are watched"));
    begin(f);
    assert_non_null(
        strstr(end(f), ",\"items\":[],\"incomplete\":\"the workspace has more folders"));
}

static void above_the_bound_of_files_a_run_is_told_the_first(void **state)
{
    struct fixture *f = *state;
    unsigned n = 0;
    begin(f);
    for (int i = 0; i < CHANGES_MAX_ITEMS + 1; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "f%d", i);
        put(name, 0);
    }
    const char *told = end(f);
    for (const char *at = told; (at = strstr(at, "\"created\"")); at++)
        n++;
    assert_int_equal(n, CHANGES_MAX_ITEMS);
    assert_non_null(strstr(told, "],\"incomplete\":\"more files changed than are named\""));
    begin(f);
    put("f1", 1);
    assert_string_equal(end(f), ITEMS(MODIFIED("f1", "1")));
}

/* Folders in each other, their names the longest that JSON can make of 255 bytes; the test is in the last one then. */
static void go_deep(unsigned n)
{
    char name[FILES_MAX_NAME + 1];
    memset(name, 1, FILES_MAX_NAME);
    name[FILES_MAX_NAME] = '\0';
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(mkdir(name, 0755), 0);
        assert_int_equal(chdir(name), 0);
    }
}

static void put_many(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "f%u", i);
        put(name, 0);
    }
}

static void the_longest_paths_do_not_cut_what_a_run_is_told(void **state)
{
    struct fixture *f = *state;
    go_deep(15);
    begin(f);
    put_many(400);
    const char *told = end(f), *behind = strstr(told, "\"}],\"incomplete\":");
    unsigned n = 0;
    for (const char *at = told; (at = strstr(at, "\"created\"")); at++)
        n++;
    assert_true(n >= 40 && n < 400);
    assert_non_null(behind);
    assert_string_equal(behind + 3, ",\"incomplete\":\"more files changed than are named\"");
}

static void the_longest_paths_take_no_more_memory_of_a_run(void **state)
{
    struct fixture *f = *state;
    go_deep(15);
    begin(f);
    put_many(
        2000); /* of 3,840 bytes each: the run is kept open, so nothing but the bound ends it */
    struct changes_run *run = f->run;
    const char *missed = NULL; /* the thread takes its time */
    for (int64_t due_ms = zclock_mono() + PATIENCE_MS; !missed && zclock_mono() < due_ms;) {
        zclock_sleep(10);
        pthread_mutex_lock(&f->watched->lock);
        missed = run->missed;
        pthread_mutex_unlock(&f->watched->lock);
    }
    assert_non_null(missed);
    assert_non_null(strstr(end(f), "more files changed than are named"));
}

static void what_does_not_fit_into_the_queue_is_missed_and_said(void **state)
{
    struct fixture *f = *state;
    struct watched *w = f->watched;
    begin(f);
    pthread_mutex_lock(&w->lock);
    w->queued_bytes += CHANGES_MAX_QUEUED; /* another's, that the thread has not come to */
    pthread_mutex_unlock(&w->lock);
    put("a", 1);
    const char *told = end(f);
    pthread_mutex_lock(&w->lock);
    w->queued_bytes -= CHANGES_MAX_QUEUED;
    pthread_mutex_unlock(&w->lock);
    assert_non_null(strstr(told, "\"incomplete\":\"more changed at once than could be followed\""));
}

static void
when_the_systems_queue_overflows_the_run_is_told_and_the_next_ones_are_well(void **state)
{
    struct fixture *f = *state;
    begin(f);
    pthread_mutex_lock(&f->watched->lock); /* nobody reads */
    for (int i = 0; i < 20000; i++)
        put(i % 2 ? "a" : "b", 1);
    assert_int_equal(mkdir("unseen", 0700), 0);
    pthread_mutex_unlock(&f->watched->lock);
    assert_non_null(
        strstr(end(f), "\"incomplete\":\"more changed at once than could be followed\""));
    wait_until_watched(f);
    begin(f);
    put("unseen/c", 1);
    assert_string_equal(end(f), ITEMS(CREATED("unseen/c", "1")));
}

static void a_workspace_that_comes_again_is_watched_anew(void **state)
{
    struct fixture *f = *state;
    char away[400];
    changes_unwatch(TAKE(f->watched));
    (void)snprintf(away, sizeof away, "%s/away", f->state);
    assert_int_equal(rename(f->inside, away), 0);
    assert_int_equal(mkdir(f->inside, 0700), 0);
    assert_int_equal(chdir(f->inside), 0);
    f->watched = changes_watch(f->changes, WORKSPACE);
    zclock_sleep(20);
    wait_until_watched(f);
    begin(f);
    put("new", 1);
    assert_string_equal(end(f), ITEMS(CREATED("new", "1")));
}

static void one_that_began_earlier_is_told_what_came_later_and_why_not_all(void **state)
{
    struct fixture *f = *state;
    f->run = changes_begin(f->watched, "it began earlier");
    put("a", 1);
    assert_string_equal(end(f), ITEMS(CREATED("a", "1")) ",\"incomplete\":\"it began earlier\"");
}

static void runs_that_never_end_are_forgotten_with_all(void **state)
{
    struct fixture *f = *state;
    (void)changes_begin(f->watched, NULL); /* changes_free has it */
    put("a", 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_run_that_changes_nothing_is_told_so_at_once),
        TEST(it_is_told_what_it_created_modified_and_deleted),
        TEST(what_was_done_between_two_runs_is_nobodys),
        TEST(images_and_small_texts_have_a_media_type),
        TEST(what_comes_and_goes_is_nobodys_business),
        TEST(what_is_written_to_a_file_without_a_name_is_seen_and_changes_no_path),
        TEST(a_file_that_was_only_opened_for_writing_is_not_modified),
        TEST(a_file_that_is_replaced_is_modified),
        TEST(folders_that_are_new_are_looked_into),
        TEST(a_folder_that_moves_takes_its_files_along),
        TEST(what_the_hub_does_itself_is_no_runs),
        TEST(of_a_workspace_that_nobody_uses_nothing_is_the_hubs_own),
        TEST(two_runs_at_once_are_both_told_and_know_it),
        TEST(links_are_not_followed),
        TEST(above_the_bound_of_folders_every_run_is_told_so),
        TEST(above_the_bound_of_files_a_run_is_told_the_first),
        TEST(the_longest_paths_do_not_cut_what_a_run_is_told),
        TEST(the_longest_paths_take_no_more_memory_of_a_run),
        TEST(what_does_not_fit_into_the_queue_is_missed_and_said),
        TEST(when_the_systems_queue_overflows_the_run_is_told_and_the_next_ones_are_well),
        TEST(a_workspace_that_comes_again_is_watched_anew),
        TEST(one_that_began_earlier_is_told_what_came_later_and_why_not_all),
        TEST(runs_that_never_end_are_forgotten_with_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
