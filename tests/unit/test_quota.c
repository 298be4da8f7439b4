/* Who is above his limit: counted by the thread, told to the loop. What is then done to sandboxes: tests/integration/test_quota.py. */
#include "tests/unit/hub_fixture.h"

#include <fcntl.h>

#include "kernelhub/quota_internal.h"

#define LIMIT (4 << 20)

static int setup(void **state)
{
    struct err e = ERR_INIT;
    char path[400];
    assert_int_equal(hub_fixture_setup(state), 0);
    struct hub_fixture *f = *state;
    assert_int_equal(config_set(f->config, "limits/workspace_bytes", "4M", "test", &e), 0);
    assert_int_equal(config_set(f->config, "limits/workspace_files", "40", "test", &e), 0);
    (void)snprintf(path, sizeof path, "%s/workspaces/%s", f->base.dir, f->user->id.text);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/workspaces/%s/private-x", f->base.dir, f->user->id.text);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chdir(path), 0);
    return 0;
}

static int teardown(void **state)
{
    assert_int_equal(chdir("/"), 0);
    return hub_fixture_teardown(state);
}

static struct metered now(struct hub_fixture *f)
{
    struct quota *q = f->hub->quota;
    pthread_mutex_lock(&q->lock);
    const struct metered *m = zlistx_first(q->all);
    struct metered copy = m ? *m : (struct metered){ .n_sandboxes = 0 };
    pthread_mutex_unlock(&q->lock);
    return copy;
}

/* Runs the loop until the user's figures are so. */
static struct metered wait_for(struct hub_fixture *f, bool (*is_so)(const struct metered *m))
{
    int never = 0;
    for (int64_t due_ms = zclock_mono() + FIXTURE_DEADLINE_MS; zclock_mono() < due_ms;) {
        fixture_run_for(&f->base, &never, 1, 10);
        struct metered m = now(f);
        if (is_so(&m))
            return m;
    }
    fail_msg("it never came to that");
    return now(f);
}

static bool is_counted(const struct metered *m)
{
    return m->begun_ms && m->n_judged;
}

static bool is_above(const struct metered *m)
{
    return is_counted(m) && m->is_above;
}

static bool is_within(const struct metered *m)
{
    return is_counted(m) && !m->is_above;
}

static bool is_gone(const struct metered *m)
{
    return !uuid_is_set(&m->user);
}

static void put(const char *name, size_t n)
{
    char *bytes = malloc(n + 1);
    assert_non_null(bytes);
    memset(bytes, 'x', n + 1);
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    assert_int_equal(close(fd), 0);
    free(bytes);
}

static void who_enters_is_counted_at_once(void **state)
{
    struct hub_fixture *f = *state;
    put("a", 1 << 20);
    quota_enter(f->hub->quota, f->user);
    struct metered m = wait_for(f, is_counted);
    assert_true(m.used.bytes >= 1 << 20 && m.used.bytes < 2 << 20);
    assert_int_equal(m.used.files, 1);
    assert_int_equal(m.limit.bytes, LIMIT);
    assert_false(m.is_above);
    quota_leave(f->hub->quota, f->user);
}

static void who_writes_is_above_in_a_moment_and_within_when_he_has_deleted(void **state)
{
    struct hub_fixture *f = *state;
    quota_enter(f->hub->quota, f->user);
    (void)wait_for(f, is_counted);
    int64_t begun_ms = zclock_mono();
    put("a", LIMIT + 1);
    (void)wait_for(f, is_above);
    assert_true(zclock_mono() - begun_ms < 5000); /* some 250; a machine may be slow */
    assert_int_equal(unlink("a"), 0);
    (void)wait_for(f, is_within);
    quota_leave(f->hub->quota, f->user);
}

static void a_hole_is_free_and_an_fallocate_is_not(void **state)
{
    struct hub_fixture *f = *state;
    int fd = open("sparse", O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 100 * LIMIT), 0);
    quota_enter(f->hub->quota, f->user);
    (void)wait_for(f, is_within);
    if (posix_fallocate(fd, 0, LIMIT + 1) != 0) {
        (void)close(fd);
        quota_leave(f->hub->quota, f->user);
        skip();
    }
    (void)wait_for(f, is_above);
    (void)close(fd);
    quota_leave(f->hub->quota, f->user);
}

static void files_have_a_limit_too(void **state)
{
    struct hub_fixture *f = *state;
    quota_enter(f->hub->quota, f->user);
    (void)wait_for(f, is_within);
    for (int i = 0; i < 50; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "f%d", i);
        put(name, 0);
    }
    struct metered m = wait_for(f, is_above);
    assert_true(m.used.bytes < LIMIT && m.used.files > 40);
    quota_leave(f->hub->quota, f->user);
}

static void what_he_had_before_counts_as_settled(void **state)
{
    struct hub_fixture *f = *state;
    put("a", 2 * LIMIT);
    quota_enter(f->hub->quota, f->user);
    struct metered m = wait_for(f, is_above);
    assert_true(m.is_settled && m.mark.bytes == m.used.bytes);
    quota_leave(f->hub->quota, f->user);
}

static void who_has_left_is_forgotten(void **state)
{
    struct hub_fixture *f = *state;
    quota_enter(f->hub->quota, f->user);
    quota_enter(f->hub->quota, f->user);
    (void)wait_for(f, is_counted);
    quota_leave(f->hub->quota, f->user);
    struct metered m = now(f);
    assert_int_equal(m.n_sandboxes, 1);
    quota_leave(f->hub->quota, f->user);
    (void)wait_for(f, is_gone);
}

/* ---- a disk that is short ---- */

static void be_short(struct hub_fixture *f)
{
    struct err e = ERR_INIT;
    assert_int_equal(config_set(f->config, "limits/min_free_bytes", "1024T", "test", &e), 0);
}

static enum err_code begin(struct hub_fixture *f)
{
    struct err e = ERR_INIT;
    return quota_may_begin(f->hub->quota, f->user, &e) < 0 ? e.code : ERR_NONE;
}

static void on_a_short_disk_nothing_begins_of_who_is_above(void **state)
{
    struct hub_fixture *f = *state;
    be_short(f);
    quota_enter(f->hub->quota, f->user);
    (void)wait_for(f, is_within);
    assert_int_equal(begin(f), ERR_NONE);
    put("a", LIMIT + 1);
    (void)wait_for(f, is_above);
    assert_int_equal(begin(f), ERR_QUOTA);
    quota_leave(f->hub->quota, f->user);
    int never = 0;
    fixture_run_for(&f->base, &never, 1, 3 * QUOTA_TICK_MS);
    assert_int_equal(begin(f), ERR_QUOTA); /* who leaves is not forgotten */
    assert_int_equal(unlink("a"), 0);
    (void)wait_for(f, is_gone);
    assert_int_equal(begin(f), ERR_NONE);
}

static bool is_unseen(const struct metered *m)
{
    return is_counted(m) && m->used.unseen > 0;
}

static void on_a_short_disk_nothing_begins_of_who_hides_what_he_has(void **state)
{
    struct hub_fixture *f = *state;
    char here[400];
    assert_non_null(getcwd(here, sizeof here));
    for (int i = 0; i < 258; i++)
        assert_true(mkdir("d", 0700) == 0 && chdir("d") == 0);
    assert_int_equal(chdir(here), 0);
    struct err e = ERR_INIT;
    assert_int_equal(config_set(f->config, "limits/workspace_files", "400", "test", &e), 0);
    quota_enter(f->hub->quota, f->user);
    (void)wait_for(f, is_unseen);
    assert_int_equal(begin(f), ERR_NONE); /* there is room enough */
    quota_leave(f->hub->quota, f->user);
    (void)wait_for(f, is_gone);
    be_short(f);
    quota_enter(f->hub->quota, f->user);
    (void)wait_for(f, is_unseen);
    assert_int_equal(begin(f), ERR_QUOTA);
    quota_leave(f->hub->quota, f->user);
}

static void what_a_disk_loses_while_nobody_runs_is_nobodys_fault(void **state)
{
    struct hub_fixture *f = *state;
    struct quota *q = f->hub->quota;
    int never = 0;
    quota_enter(q, f->user);
    (void)wait_for(f, is_within);
    pthread_mutex_lock(&q->lock);
    assert_true(q->floor.mark_bytes > 0);
    pthread_mutex_unlock(&q->lock);
    quota_leave(q, f->user);
    (void)wait_for(f, is_gone);
    fixture_run_for(&f->base, &never, 1, 100);
    pthread_mutex_lock(&q->lock);
    assert_int_equal(q->floor.mark_bytes, 0);
    pthread_mutex_unlock(&q->lock);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

/* 16 MiB are noise. */
static void a_disk_that_is_short_and_loses(void **state)
{
    const uint64_t mi = 1 << 20;
    struct floor f = { 0 };
    floor_set(&f, 256 * mi);
    assert_false(floor_falls(&f, 300 * mi));
    assert_false(floor_falls(&f, 250 * mi)); /* it has not lost much below the limit */
    assert_false(floor_falls(&f, 240 * mi));
    assert_true(floor_falls(&f, 200 * mi));
    assert_true(f.is_news && f.free_bytes == 200 * mi);
    f.is_news = false;
    assert_false(floor_falls(&f, 190 * mi));
    assert_false(floor_falls(&f, 230 * mi)); /* some came back */
    assert_false(floor_falls(&f, 220 * mi));
    assert_true(floor_falls(&f, 210 * mi)); /* and went again */
    assert_true(floor_falls(&f, 0));
    assert_false(floor_falls(&f, 0));
    assert_false(floor_falls(&f, 1000 * mi));
    assert_true(floor_falls(&f, 100 * mi));
}

static void a_disk_that_was_short_before_is_nobodys_fault(void **state)
{
    const uint64_t mi = 1 << 20;
    struct floor f = { 0 };
    floor_set(&f, 256 * mi);
    assert_false(floor_falls(&f, 100 * mi));
    assert_false(floor_falls(&f, 90 * mi));
    assert_true(floor_falls(&f, 80 * mi));
    floor_set(&f, 256 * mi); /* the same: what was seen stays */
    assert_true(floor_falls(&f, 10 * mi));
    floor_set(&f, 0);
    assert_false(floor_falls(&f, 1000 * mi));
    assert_false(floor_falls(&f, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_enters_is_counted_at_once),
        TEST(who_writes_is_above_in_a_moment_and_within_when_he_has_deleted),
        TEST(a_hole_is_free_and_an_fallocate_is_not),
        TEST(files_have_a_limit_too),
        TEST(what_he_had_before_counts_as_settled),
        TEST(who_has_left_is_forgotten),
        TEST(on_a_short_disk_nothing_begins_of_who_is_above),
        TEST(on_a_short_disk_nothing_begins_of_who_hides_what_he_has),
        TEST(what_a_disk_loses_while_nobody_runs_is_nobodys_fault),
        cmocka_unit_test(a_disk_that_is_short_and_loses),
        cmocka_unit_test(a_disk_that_was_short_before_is_nobodys_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
