/* A ring of the newest lines: slot of a number is seq % FEED_MAX_LINES. */
#include "kernelhub/feed.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct feed_line {
    unsigned refs;
    size_t len;
    char data[];
};

struct feed_watch {
    struct feed *feed;
    struct feed_watch *next, *previous;
    void (*changed)(void *arg);
    void *arg;
};

struct feed {
    int64_t number;
    unsigned refs;
    bool ended;
    struct err failure;
    uint64_t last, first; /* first kept; first > last: none */
    size_t bytes;
    struct feed_line **lines; /* made with the first line: most feeds of a history never get one */
    struct feed_watch *watches;
    struct feed_watch *next_watch; /* the one feed_changed calls next; moved by feed_unwatch */
};

struct feed *feed_new(int64_t number, uint64_t last_seq)
{
    struct feed *f = calloc(1, sizeof *f);
    if (!f)
        abort();
    f->number = number;
    f->refs = 1;
    f->last = last_seq;
    f->first = last_seq + 1;
    return f;
}

struct feed *feed_ref(struct feed *f)
{
    f->refs++;
    return f;
}

static struct feed_line **slot(const struct feed *f, uint64_t seq)
{
    return &f->lines[seq % FEED_MAX_LINES];
}

void feed_line_drop(struct feed_line *l)
{
    if (l && --l->refs == 0)
        free(l);
}

static void drop_oldest(struct feed *f)
{
    struct feed_line **l = slot(f, f->first++);
    f->bytes -= (*l)->len;
    feed_line_drop(*l);
    *l = NULL;
}

void feed_unref(struct feed *f)
{
    if (!f || --f->refs)
        return;
    assert(!f->watches);
    while (f->first <= f->last)
        drop_oldest(f);
    free(f->lines);
    free(f);
}

int64_t feed_number(const struct feed *f)
{
    return f->number;
}

uint64_t feed_last_seq(const struct feed *f)
{
    return f->last;
}

uint64_t feed_first_kept(const struct feed *f)
{
    return f->first <= f->last ? f->first : 0;
}

bool feed_has_ended(const struct feed *f)
{
    return f->ended;
}

bool feed_is_whole(const struct feed *f)
{
    return f->first == 1;
}

static void feed_changed(struct feed *f)
{
    struct feed *held = feed_ref(f);
    for (struct feed_watch *w = f->watches; w; w = f->next_watch) {
        f->next_watch = w->next;
        w->changed(w->arg);
    }
    feed_unref(held);
}

void feed_add(struct feed *f, uint64_t seq, struct slice line)
{
    assert(seq == f->last + 1);
    if (!f->lines)
        f->lines = calloc(FEED_MAX_LINES, sizeof *f->lines);
    struct feed_line *copy = malloc(sizeof *copy + line.len);
    if (!f->lines || !copy)
        abort();
    *copy = (struct feed_line){ .refs = 1, .len = line.len };
    memcpy(copy->data, line.data, line.len);
    while (f->first <= f->last &&
           (f->last - f->first + 1 >= FEED_MAX_LINES || f->bytes + line.len > FEED_MAX_BYTES))
        drop_oldest(f);
    f->last = seq;
    *slot(f, seq) = copy;
    f->bytes += line.len;
    feed_changed(f);
}

void feed_end(struct feed *f)
{
    f->ended = true;
    feed_changed(f);
}

void feed_fail(struct feed *f, const struct err *why)
{
    f->failure = *why;
}

const struct err *feed_failure(const struct feed *f)
{
    return f->failure.code == ERR_NONE ? NULL : &f->failure;
}

struct feed_line *feed_line_hold(const struct feed *f, uint64_t seq)
{
    if (seq < f->first || seq > f->last)
        return NULL;
    struct feed_line *l = *slot(f, seq);
    l->refs++;
    return l;
}

struct slice feed_line_text(const struct feed_line *l)
{
    return slice_of(l->data, l->len);
}

bool feed_is_watched(const struct feed *f)
{
    return f->watches != NULL;
}

struct feed_watch *feed_watch(struct feed *f, void (*changed)(void *arg), void *arg)
{
    struct feed_watch *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    *w = (struct feed_watch){
        .feed = feed_ref(f), .changed = changed, .arg = arg, .next = f->watches
    };
    if (f->watches)
        f->watches->previous = w;
    f->watches = w;
    return w;
}

void feed_unwatch(struct feed_watch *w)
{
    if (!w)
        return;
    struct feed *f = w->feed;
    if (f->next_watch == w)
        f->next_watch = w->next;
    if (w->next)
        w->next->previous = w->previous;
    if (w->previous)
        w->previous->next = w->next;
    else
        f->watches = w->next;
    free(w);
    feed_unref(f);
}
