#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "files_fixture.h"

static enum err_code read_file(struct fixture *f, const char *path, struct buf *out)
{
    CLEANUP(file_close) struct file *file = NULL;
    struct files_stat st;
    struct err e = ERR_INIT;
    buf_reset(out);
    if (files_open(&f->tree, path, &file, &st, &e) < 0 ||
        file_read_all(file, &f->tree, out, &e) < 0)
        return e.code;
    return ERR_NONE;
}

static void assert_holds(struct fixture *f, const char *path, const char *text)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    assert_int_equal(read_file(f, path, &out), ERR_NONE);
    assert_string_equal(out.len ? out.data : "", text);
}

static enum err_code write_file(struct fixture *f, const char *path, const char *text, bool replace)
{
    CLEANUP(draft_free) struct draft *d = NULL;
    struct files_stat st;
    struct err e = ERR_INIT;
    if (files_draft(&f->tree, &d, &e) < 0 || draft_add(d, slice_str(text), &e) < 0 ||
        draft_commit(d, &f->tree, path, replace, &st, &e) < 0)
        return e.code;
    assert_int_equal(st.bytes, strlen(text));
    return ERR_NONE;
}

static unsigned count_drafts(const struct fixture *f)
{
    char path[600];
    unsigned n = 0;
    at(f, "../incoming", path);
    DIR *d = opendir(path);
    for (struct dirent *entry; d && (entry = readdir(d));)
        n += entry->d_name[0] != '.';
    if (d)
        (void)closedir(d);
    return n;
}

/* ---- files and folders ---- */

static void what_is_written_is_read(void **state)
{
    struct fixture *f = *state;
    struct files_stat st;
    struct err e = ERR_INIT;
    assert_int_equal(write_file(f, "a", "one", false), ERR_NONE);
    assert_holds(f, "a", "one");
    assert_int_equal(write_file(f, "a", "two", false), ERR_CONFLICT);
    assert_holds(f, "a", "one");
    assert_int_equal(files_stat(&f->tree, "a", &st, &e), 0);
    assert_true(st.type == FILES_FILE && st.bytes == 3 && st.mode == 0644);
    char path[600];
    at(f, "a", path);
    assert_int_equal(chmod(path, 0750), 0);
    assert_int_equal(write_file(f, "a", "three", true), ERR_NONE);
    assert_int_equal(files_stat(&f->tree, "a", &st, &e), 0);
    assert_int_equal(st.mode, 0750);
    assert_int_equal(write_file(f, "no/a", "x", true), ERR_NOT_FOUND);
    assert_int_equal(write_file(f, "", "x", true), ERR_INVALID);
    assert_int_equal(files_make_folder(&f->tree, "d", &e), 0);
    assert_int_equal(write_file(f, "d", "x", true), ERR_INVALID);
    assert_int_equal(write_file(f, "a/b", "x", true), ERR_NOT_FOUND);
    assert_int_equal(count_drafts(f), 0);
}

static void a_broken_upload_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct draft *d = NULL;
    put(f, "a", "old");
    assert_int_equal(files_draft(&f->tree, &d, &e), 0);
    assert_int_equal(draft_add(d, SLICE_LITERAL("half"), &e), 0);
    assert_int_equal(count_drafts(f), 1);
    draft_free(d);
    assert_int_equal(count_drafts(f), 0);
    assert_holds(f, "a", "old");
    char path[600];
    at(f, "../incoming/new-1", path);
    put(f, "../incoming/new-1", "a hub that died");
    char workspaces[300];
    (void)snprintf(workspaces, sizeof workspaces, "%s/workspaces", f->state);
    int fd = open(workspaces, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    files_sweep(fd);
    (void)close(fd);
    assert_int_equal(count_drafts(f), 0);
}

static int each_name(void *arg, const char *name, const struct files_stat *st, struct err *e)
{
    buf_addf(arg, "%s%d ", name, (int)st->type);
    return 0;
}

static void everything_in_a_folder_is_listed(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    CLEANUP_BUF struct buf names = BUF_INIT(1000);
    put(f, "a", "");
    assert_int_equal(files_list(&f->tree, "", each_name, &names, &e), 0);
    assert_string_equal(names.data, "a0 ");
    assert_int_equal(files_make_folder(&f->tree, "d", &e), 0);
    link_to(f, "/", "d/l");
    buf_reset(&names);
    assert_int_equal(files_list(&f->tree, "d", each_name, &names, &e), 0);
    assert_string_equal(names.data, "l2 ");
    assert_int_equal(files_list(&f->tree, "a", each_name, &names, &e), -1);
    assert_int_equal(files_list(&f->tree, "none", each_name, &names, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
}

static void nothing_is_replaced_unasked(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    put(f, "a", "a");
    put(f, "b", "b");
    assert_int_equal(files_rename(&f->tree, "a", "b", false, &e), -1);
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_int_equal(files_copy(&f->tree, "a", "b", false, &e), -1);
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_holds(f, "b", "b");
    assert_int_equal(files_make_folder(&f->tree, "b", &e), -1);
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_int_equal(files_copy(&f->tree, "a", "b", true, &e), 0);
    assert_holds(f, "b", "a");
    assert_int_equal(files_make_folder(&f->tree, "d", &e), 0);
    assert_int_equal(files_rename(&f->tree, "b", "d/b", false, &e), 0);
    assert_holds(f, "d/b", "a");
    assert_int_equal(files_rename(&f->tree, "d", "d/e", false, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_int_equal(files_rename(&f->tree, "none", "x", false, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
}

static void a_tree_is_copied_and_deleted(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct files_stat st;
    assert_int_equal(files_make_folder(&f->tree, "d", &e), 0);
    assert_int_equal(files_make_folder(&f->tree, "d/e", &e), 0);
    put(f, "d/e/x", "x");
    link_to(f, "../../..", "d/l");
    assert_int_equal(files_copy(&f->tree, "d", "c", false, &e), 0);
    assert_holds(f, "c/e/x", "x");
    assert_int_equal(files_stat(&f->tree, "c/l", &st, &e), -1); /* links are left out */
    assert_int_equal(files_copy(&f->tree, "d", "d/e/d", false, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_int_equal(files_delete(&f->tree, "d", false, &e), -1);
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_int_equal(files_delete(&f->tree, "d", true, &e), 0);
    assert_int_equal(files_stat(&f->tree, "d", &st, &e), -1);
    assert_int_equal(files_delete(&f->tree, "", true, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
}

static void a_tree_that_is_too_deep_is_left(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    CLEANUP_BUF struct buf path = BUF_INIT(FILES_MAX_PATH);
    for (int i = 0; i < FILES_MAX_DEPTH + 3; i++) {
        buf_add_str(&path, i ? "/d" : "d");
        assert_int_equal(files_make_folder(&f->tree, path.data, &e), 0);
    }
    assert_int_equal(files_delete(&f->tree, "d", true, &e), -1);
    assert_int_equal(e.code, ERR_TOO_LARGE);
    assert_int_equal(files_copy(&f->tree, "d", "c", false, &e), -1);
    assert_int_equal(e.code, ERR_TOO_LARGE);
}

/* ---- what user code plants ---- */

static void assert_closed(struct fixture *f, const char *path, enum err_code code)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1000);
    struct err e = ERR_INIT;
    assert_int_equal(read_file(f, path, &out), code);
    assert_int_equal(write_file(f, path, "mine", true), code);
    assert_int_equal(files_copy(&f->tree, path, "copied", false, &e), -1);
    assert_int_equal(files_list(&f->tree, path, each_name, &out, &e), -1);
}

static void a_link_at_any_place_is_not_followed(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    char outside[300], path[600];
    (void)snprintf(outside, sizeof outside, "%s/outside", f->state);
    assert_int_equal(mkdir(outside, 0700), 0);
    put(f, "../../../outside/secret", "theirs");
    assert_int_equal(files_make_folder(&f->tree, "d", &e), 0);
    assert_int_equal(files_make_folder(&f->tree, "d/e", &e), 0);
    put(f, "d/e/x", "x");
    link_to(f, outside, "first");
    link_to(f, outside, "d/second");
    (void)snprintf(path, sizeof path, "%s/secret", outside);
    link_to(f, path, "d/e/last");
    link_to(f, "x", "d/e/near"); /* not even to where it may lead */
    link_to(f, "loop", "loop");
    link_to(f, "/proc/self/root", "magic");
    static const char *const PATHS[] = { "first/secret", "d/second/secret", "d/e/last", "d/e/near",
                                         "loop",         "magic/etc/passwd" };
    for (size_t i = 0; i < ARRAY_LEN(PATHS); i++)
        assert_closed(f, PATHS[i], ERR_FORBIDDEN);
    assert_int_equal(files_rename(&f->tree, "d/e/x", "first/x", true, &e), -1);
    assert_int_equal(files_rename(&f->tree, "first/secret", "y", true, &e), -1);
    assert_int_equal(files_delete(&f->tree, "first/secret", true, &e), -1);
    assert_int_equal(files_make_folder(&f->tree, "first/new", &e), -1);
    assert_int_equal(files_rename(&f->tree, "first", "y", true, &e), -1);
    assert_int_equal(e.code, ERR_FORBIDDEN);
    assert_int_equal(files_delete(&f->tree, "first", true, &e), 0); /* the link itself */
    assert_int_equal(files_delete(&f->tree, "d", true, &e), 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0); /* path: the secret */
    assert_int_equal(st.st_size, 6);
}

static void a_pipe_or_a_socket_answers_at_once(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    char path[600];
    at(f, "pipe", path);
    assert_int_equal(mkfifo(path, 0644), 0);
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    char here[500];
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(f->inside), 0); /* its name has 108 bytes */
    (void)snprintf(name.sun_path, sizeof name.sun_path, "socket");
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(chdir(here), 0);
    assert_closed(f, "pipe", ERR_INVALID);
    assert_closed(f, "socket", ERR_INVALID);
    assert_int_equal(files_delete(&f->tree, "pipe", false, &e), 0);
    (void)close(s);
}

struct swapper {
    char one[600], other[600];
    atomic_bool end;
};

static void *swap(void *arg)
{
    struct swapper *s = arg;
    while (!atomic_load(&s->end))
        if (renameat2(AT_FDCWD, s->one, AT_FDCWD, s->other, RENAME_EXCHANGE) < 0)
            abort();
    return NULL;
}

/* A folder and a link to another user's folder change places all the time. */
static void a_swap_gives_no_other_file(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct swapper s = { .end = false };
    char outside[300];
    unsigned n_read = 0, n_refused = 0;
    CLEANUP_BUF struct buf out = BUF_INIT(1000);
    (void)snprintf(outside, sizeof outside, "%s/outside", f->state);
    assert_int_equal(mkdir(outside, 0700), 0);
    put(f, "../../../outside/x", "theirs");
    assert_int_equal(files_make_folder(&f->tree, "d", &e), 0);
    put(f, "d/x", "ours");
    link_to(f, outside, "l");
    at(f, "d", s.one);
    at(f, "l", s.other);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, swap, &s), 0);
    int64_t end_ms = zclock_mono() + 20000; /* however busy the machine is */
    for (int i = 0; (i < 2000 || n_read < 20 || n_refused < 20) && zclock_mono() < end_ms; i++) {
        enum err_code code = read_file(f, "d/x", &out);
        n_read += code == ERR_NONE;
        n_refused += code == ERR_FORBIDDEN;
        assert_true(code != ERR_NONE || slice_is(buf_slice(&out), "ours"));
        if (i % 50 == 0)
            (void)write_file(f, "d/x", "ours", true);
        (void)files_make_folder(&f->tree, "d/new", &e);
    }
    atomic_store(&s.end, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(n_read > 0 && n_refused > 0);
    struct stat st;
    (void)snprintf(s.one, sizeof s.one, "%s/new", outside);
    assert_int_equal(stat(s.one, &st), -1);
    (void)snprintf(s.one, sizeof s.one, "%s/x", outside);
    assert_int_equal(stat(s.one, &st), 0);
    assert_int_equal(st.st_size, 6);
}

static void a_lease_is_no_reason_to_wait(void **state)
{
    struct fixture *f = *state;
    char path[600];
    CLEANUP_BUF struct buf out = BUF_INIT(100);
    put(f, "held", "x");
    at(f, "held", path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    if (fcntl(fd, F_SETSIG, SIGURG) == 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0)
        assert_int_equal(read_file(f, "held", &out), ERR_BUSY);
    (void)close(fd);
    assert_holds(f, "held", "x");
}

static void a_file_above_the_ceiling_is_not_read(void **state)
{
    struct fixture *f = *state;
    CLEANUP_BUF struct buf small = BUF_INIT(3);
    put(f, "a", "123");
    assert_int_equal(read_file(f, "a", &small), ERR_NONE);
    put(f, "a", "1234");
    assert_int_equal(read_file(f, "a", &small), ERR_TOO_LARGE);
}

/* ---- parts ---- */

static enum err_code send_part(struct fixture *f, int64_t number, const char *text)
{
    CLEANUP(draft_free) struct draft *d = NULL;
    struct files_stat st;
    struct err e = ERR_INIT;
    if (files_draft_part(&f->tree, "up", number, &d, &e) < 0 ||
        draft_add(d, slice_str(text), &e) < 0)
        return e.code;
    int rc = number == -1 ? draft_commit(d, &f->tree, "up", true, &st, &e) : draft_keep(d, &st, &e);
    return rc < 0 ? e.code : ERR_NONE;
}

static void parts_follow_each_other(void **state)
{
    struct fixture *f = *state;
    struct files_stat st;
    struct err e = ERR_INIT;
    assert_int_equal(send_part(f, 2, "b"), ERR_CONFLICT);
    assert_int_equal(send_part(f, -1, "b"), ERR_CONFLICT);
    assert_int_equal(send_part(f, 1, "old"), ERR_NONE);
    assert_int_equal(send_part(f, 1, "a"), ERR_NONE); /* begins anew */
    assert_int_equal(send_part(f, 3, "c"), ERR_CONFLICT);
    assert_int_equal(send_part(f, 2, "b"), ERR_NONE);
    assert_int_equal(files_stat(&f->tree, "up", &st, &e), -1);
    assert_int_equal(send_part(f, -1, "c"), ERR_NONE);
    assert_holds(f, "up", "abc");
    assert_int_equal(count_drafts(f), 0);
}

static void a_part_that_broke_off_is_cut_away(void **state)
{
    struct fixture *f = *state;
    char path[600], name[200] = "";
    assert_int_equal(send_part(f, 1, "a"), ERR_NONE);
    at(f, "../incoming", path);
    DIR *d = opendir(path);
    for (struct dirent *entry; (entry = readdir(d));)
        if (entry->d_name[0] != '.')
            (void)snprintf(name, sizeof name, "../incoming/%.150s", entry->d_name);
    (void)closedir(d);
    put(f, name, "a and half of the next, then the hub was killed");
    assert_int_equal(send_part(f, -1, "b"), ERR_NONE);
    assert_holds(f, "up", "ab");
}

static void begun_uploads_are_counted(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct files_stat st;
    char path[16];
    for (int i = 0; i <= FILES_MAX_PARTS; i++) {
        CLEANUP(draft_free) struct draft *d = NULL;
        (void)snprintf(path, sizeof path, "%d", i);
        int rc = files_draft_part(&f->tree, path, 1, &d, &e);
        assert_int_equal(rc, i < FILES_MAX_PARTS ? 0 : -1);
        if (rc == 0)
            assert_int_equal(draft_keep(d, &st, &e), 0);
    }
    assert_int_equal(e.code, ERR_QUOTA);
}

/* ---- the threads ---- */

struct pool {
    struct hub hub;
    struct config *config;
    struct user user, other;
    zsock_t *gate;
    atomic_int n_run;
    int n_done, n_dropped, wanted;
    enum err_code code;
};

static int wait_at_gate(void *ctx, struct tree *t, struct err *e)
{
    struct pool *p = ctx;
    atomic_fetch_add(&p->n_run, 1);
    while (atomic_load(&p->n_run) < 1000 && files_go_on(t, e) == 0)
        (void)sched_yield();
    return files_go_on(t, e);
}

static int count_run(void *ctx, struct tree *t, struct err *e)
{
    struct pool *p = ctx;
    assert_true(t->root_fd >= 0);
    atomic_fetch_add(&p->n_run, 1);
    return p->wanted < 0 ? err_set(e, ERR_CONFLICT, "as asked") : 0;
}

static void on_done(void *ctx, const struct err *e)
{
    struct pool *p = ctx;
    p->n_done++;
    p->code = e ? e->code : ERR_NONE;
}

static void on_drop(void *ctx)
{
    ((struct pool *)ctx)->n_dropped++;
}

static int on_look(struct loop *loop, int timer, void *arg)
{
    struct pool *p = arg;
    if (p->n_done + p->n_dropped >= abs(p->wanted))
        return -1;
    (void)loop_timer(loop, 1, on_look, p);
    return 0;
}

static void run_pool(struct pool *p)
{
    (void)loop_timer(p->hub.loop, 1, on_look, p);
    (void)loop_start(p->hub.loop);
}

static struct files_job *submit(struct pool *p, const struct user *u,
                                int (*run)(void *, struct tree *, struct err *), bool is_change,
                                enum err_code *ret)
{
    struct files_job *job = NULL;
    struct err e = ERR_INIT;
    const struct files_work work = {
        .run = run, .done = on_done, .drop = on_drop, .ctx = p, .is_change = is_change
    };
    *ret = files_submit(&p->hub, u, &work, &job, &e) < 0 ? e.code : ERR_NONE;
    return job;
}

static void open_pool(struct pool *p, const struct fixture *f)
{
    struct err e = ERR_INIT;
    *p = (struct pool){ .wanted = 0 };
    p->hub.loop = loop_new();
    p->user.id = uuid_new();
    p->other.id = uuid_new();
    p->config = config_new();
    p->hub.config = p->config;
    assert_int_equal(files_new(p->hub.loop, f->state, &p->hub.files, &e), 0);
}

static void close_pool(struct pool *p)
{
    files_free(p->hub.files);
    loop_free(p->hub.loop);
    config_free(p->config);
}

static void work_is_done_and_errors_come_back(void **state)
{
    struct pool p;
    enum err_code code;
    open_pool(&p, *state);
    p.wanted = 20;
    for (int i = 0; i < 20; i++)
        (void)submit(&p, &p.user, count_run, false, &code);
    run_pool(&p);
    assert_true(p.n_done == 20 && atomic_load(&p.n_run) == 20 && p.code == ERR_NONE);
    p.wanted = -21;
    (void)submit(&p, &p.user, count_run, false, &code);
    run_pool(&p);
    assert_int_equal(p.code, ERR_CONFLICT);
    close_pool(&p);
}

static void one_user_does_not_keep_another_waiting(void **state)
{
    struct pool p, q;
    enum err_code code;
    open_pool(&p, *state);
    q = p;
    for (int i = 0; i < 64 + 2; i++) {
        (void)submit(&p, &p.user, wait_at_gate, false, &code);
        assert_int_equal(code, ERR_NONE);
    }
    (void)submit(&p, &p.user, wait_at_gate, false, &code);
    assert_int_equal(code, ERR_BUSY);
    q.wanted = 1;
    (void)submit(&q, &q.other, count_run, false, &code);
    assert_int_equal(code, ERR_NONE);
    run_pool(&q); /* while all of the first user's are at their gate */
    assert_true(q.n_done == 1 && atomic_load(&p.n_run) <= 2 && p.n_done == 0);
    close_pool(&p); /* what runs is told to end, what waits is dropped */
    assert_true(p.n_dropped == 66 && p.n_done == 0);
}

/* Each of many uploads has a piece that waits for the disk. */
static void pieces_keep_nobody_from_beginning(void **state)
{
    struct pool p, q;
    enum err_code code;
    struct files_job *job;
    struct err e = ERR_INIT;
    open_pool(&p, *state);
    q = p;
    const struct files_work piece = {
        .run = wait_at_gate, .done = on_done, .drop = on_drop, .ctx = &p, .is_piece = true
    };
    for (int i = 0; i < 300; i++)
        assert_int_equal(files_submit(&p.hub, &p.user, &piece, &job, &e), 0);
    q.wanted = 1;
    (void)submit(&q, &q.other, count_run, false, &code);
    assert_int_equal(code, ERR_NONE);
    run_pool(&q);
    assert_true(q.n_done == 1 && p.n_done == 0);
    (void)submit(&p, &p.user, wait_at_gate, false, &code);
    assert_int_equal(code, ERR_NONE); /* he has begun nothing else */
    close_pool(&p);
    assert_true(p.n_dropped == 301 && p.n_done == 0);
}

static void who_leaves_is_not_answered(void **state)
{
    struct pool p;
    enum err_code code;
    open_pool(&p, *state);
    struct files_job *jobs[4];
    for (int i = 0; i < 3; i++)
        jobs[i] = submit(&p, &p.user, wait_at_gate, false, &code);
    jobs[3] = submit(&p, &p.user, count_run, true, &code);
    files_leave(jobs[3]);
    files_leave(jobs[2]); /* it waits: gone at once */
    assert_int_equal(p.n_dropped, 1);
    files_leave(jobs[0]);
    files_leave(jobs[1]);
    p.wanted = 4;
    run_pool(&p);
    assert_true(p.n_dropped == 4 && p.n_done == 0 && atomic_load(&p.n_run) >= 1);
    close_pool(&p);
}

static void a_draft_that_nobody_wants_goes(void **state)
{
    struct fixture *f = *state;
    struct pool p;
    struct draft *d;
    struct err e = ERR_INIT;
    enum err_code code;
    open_pool(&p, f);
    assert_int_equal(files_draft(&f->tree, &d, &e), 0);
    assert_int_equal(count_drafts(f), 1);
    files_discard(&p.hub, &p.user, d);
    p.wanted = 1;
    (void)submit(&p, &p.user, count_run, false, &code); /* behind it, or beside it */
    run_pool(&p);
    assert_int_equal(files_draft(&f->tree, &d, &e), 0);
    files_discard(&p.hub, &p.user, d); /* the hub ends first */
    close_pool(&p);
    assert_int_equal(count_drafts(f), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_read),
        TEST(a_broken_upload_leaves_nothing),
        TEST(everything_in_a_folder_is_listed),
        TEST(nothing_is_replaced_unasked),
        TEST(a_tree_is_copied_and_deleted),
        TEST(a_tree_that_is_too_deep_is_left),
        TEST(a_link_at_any_place_is_not_followed),
        TEST(a_pipe_or_a_socket_answers_at_once),
        TEST(a_swap_gives_no_other_file),
        TEST(a_lease_is_no_reason_to_wait),
        TEST(a_file_above_the_ceiling_is_not_read),
        TEST(parts_follow_each_other),
        TEST(a_part_that_broke_off_is_cut_away),
        TEST(begun_uploads_are_counted),
        TEST(work_is_done_and_errors_come_back),
        TEST(one_user_does_not_keep_another_waiting),
        TEST(pieces_keep_nobody_from_beginning),
        TEST(who_leaves_is_not_answered),
        TEST(a_draft_that_nobody_wants_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
