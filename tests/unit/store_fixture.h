/* store_fixture.h - a store in a directory of its own, and a loop that runs until something came. */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <czmq.h>
#include <ftw.h>

#include "base/json.h"
#include "base/loop.h"
#include "kernelhub/store.h"
#include "tests/unit/scratch.h"

#define FIXTURE_DEADLINE_MS 20000

struct fixture {
    char dir[128];
    struct loop *loop;
    struct store *store;
    int came; /* callbacks so far */
};

static inline int fixture_remove_one(const char *path, const struct stat *st, int flag,
                                     struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static inline void fixture_open(struct fixture *f)
{
    struct err e = ERR_INIT;
    f->loop = loop_new();
    if (store_open(f->dir, f->loop, &f->store, &e) < 0)
        fail_msg("%s", e.text);
}

static inline void fixture_close(struct fixture *f)
{
    store_close(f->store);
    f->store = NULL;
    loop_free(f->loop);
}

static inline void fixture_reopen(struct fixture *f)
{
    fixture_close(f);
    fixture_open(f);
}

static inline int fixture_setup(void **state)
{
    struct fixture *f = zmalloc(sizeof *f);
    assert_non_null(mkdtemp(scratch_path(f->dir, sizeof f->dir, "store-XXXXXX")));
    fixture_open(f);
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    (void)nftw(f->dir, fixture_remove_one, 16,
               FTW_DEPTH | FTW_PHYS); /* tests/in-scratch sees what is left */
    free(f);
    return 0;
}

struct fixture_goal {
    const int *came;
    int wanted;
    int64_t due_ms;
    int timer;
};

static inline int fixture_look(struct loop *loop, int timer, void *arg)
{
    struct fixture_goal *goal = arg;
    (void)timer;
    goal->timer = loop_timer(loop, 1, fixture_look, goal);
    return *goal->came >= goal->wanted || zclock_mono() > goal->due_ms ? -1 : 0;
}

/* Runs the loop until *came is `wanted`, or ms have passed. */
static inline void fixture_run_for(struct fixture *f, const int *came, int wanted, int ms)
{
    struct fixture_goal goal = { came, wanted, zclock_mono() + ms,
                                 loop_timer(f->loop, 1, fixture_look, &goal) };
    if (*came < wanted)
        (void)loop_start(f->loop);
    loop_timer_end(f->loop, goal.timer);
}

static inline void fixture_run(struct fixture *f, const int *came, int wanted)
{
    fixture_run_for(f, came, wanted, FIXTURE_DEADLINE_MS);
    assert_int_equal(*came, wanted);
}

static inline void fixture_done(void *arg)
{
    struct fixture *f = arg;
    f->came++;
}

/* Every write before is committed when this returns. */
static inline void fixture_flush(struct fixture *f)
{
    f->came = 0;
    store_mark(f->store, (struct store_mark){ 0 }, fixture_done, f);
    fixture_run(f, &f->came, 1);
}

static inline struct uuid fixture_id(unsigned n)
{
    struct uuid id;
    char text[37];
    snprintf(text, sizeof text, "%08x-1111-4222-8333-444455556666", n);
    assert_true(uuid_parse(slice_str(text), &id));
    return id;
}

static inline struct event_head fixture_head(unsigned execution, enum event_type type)
{
    return (struct event_head){ .unix_us = 1700000000000000 + execution,
                                .execution_id = fixture_id(execution),
                                .session = "python",
                                .kernel_id = fixture_id(900),
                                .type = type };
}

static inline struct execution_row fixture_execution(struct store *s, unsigned n)
{
    return (struct execution_row){ .feed = store_next_feed(s),
                                   .id = fixture_id(n),
                                   .user_id = fixture_id(500),
                                   .kernel_id = fixture_id(900),
                                   .session = "python",
                                   .session_feed = 1,
                                   .language = "python",
                                   .client = "rest",
                                   .code = SLICE_LITERAL("1+1"),
                                   .status = STATUS_QUEUED,
                                   .created_us = 1700000000000000 + n,
                                   .execution_count = -1 };
}

/* What a read gave. */
struct got {
    int came;
    enum err_code code;
    char error[512];
    char *text;
    size_t len;
    uint64_t first_seq;
    size_t n_lines;
    bool ended;
    char media_type[64];
};

static inline void got_take(struct got *g, const struct err *e, struct slice text)
{
    free(g->text);
    g->code = e ? e->code : ERR_NONE;
    snprintf(g->error, sizeof g->error, "%s", e ? e->text : "");
    g->text = malloc(text.len + 1);
    if (text.len)
        memcpy(g->text, text.data, text.len);
    g->text[text.len] = '\0';
    g->len = text.len;
    g->came++;
}

static inline void got_json(void *arg, const struct err *e, struct slice json)
{
    got_take(arg, e, json);
}

static inline void got_page(void *arg, const struct err *e, uint64_t first_seq, size_t n_lines,
                            struct slice lines, bool ended)
{
    struct got *g = arg;
    g->first_seq = first_seq;
    g->n_lines = n_lines;
    g->ended = ended;
    got_take(g, e, lines);
}

static inline void got_blob(void *arg, const struct err *e, const char *media_type,
                            struct slice bytes)
{
    struct got *g = arg;
    snprintf(g->media_type, sizeof g->media_type, "%s", media_type ? media_type : "");
    got_take(g, e, bytes);
}

static inline void got_done(struct got *g)
{
    free(g->text);
    *g = (struct got){ 0 };
}

static inline void fixture_page(struct fixture *f, int64_t feed, uint64_t after, size_t max_bytes,
                                struct got *g)
{
    g->came = 0;
    assert_non_null(store_read_events(f->store, feed, after, max_bytes, got_page, g));
    fixture_run(f, &g->came, 1);
    assert_string_equal(g->error, "");
}

#endif
