/* feed.h - the committed events of one execution or session that are still in memory, and who follows them. */
#ifndef KERNELHUB_FEED_H
#define KERNELHUB_FEED_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define FEED_MAX_BYTES (1u << 20) /* newest lines kept in memory; older ones are read from the store */
#define FEED_MAX_LINES 1024

struct feed;

/* Counted references; the owner (execution, session) and each follower hold one. */
struct feed *feed_new(int64_t number, uint64_t last_seq);
struct feed *feed_ref(struct feed *f);
void feed_unref(struct feed *f); /* NULL is fine */

int64_t feed_number(const struct feed *f);
uint64_t feed_last_seq(const struct feed *f);  /* highest committed number, 0: none */
uint64_t feed_first_kept(const struct feed *f); /* lowest number still in memory, 0: none */
bool feed_has_ended(const struct feed *f);
bool feed_is_watched(const struct feed *f);
bool feed_is_whole(const struct feed *f); /* every event from 1 on is in memory */

/* A committed event, in order: copied, then every watcher is called. */
void feed_add(struct feed *f, uint64_t seq, struct slice line);
void feed_end(struct feed *f); /* after the last feed_add; watchers are called */

/* It never began: those who follow it from the beginning are told why instead of its `finished`. */
void feed_fail(struct feed *f, const struct err *why);
const struct err *feed_failure(const struct feed *f); /* NULL: none */

/* The line of an event in memory; NULL when it is not kept. It stays as it is while it is held, whatever becomes of the feed. */
struct feed_line;
struct feed_line *feed_line_hold(const struct feed *f, uint64_t seq);
void feed_line_drop(struct feed_line *l); /* NULL is fine */
struct slice feed_line_text(const struct feed_line *l);

/* A watcher is told that something changed. It must not free another watcher from inside the call. */
struct feed_watch;
struct feed_watch *feed_watch(struct feed *f, void (*changed)(void *arg), void *arg);
void feed_unwatch(struct feed_watch *w); /* NULL is fine; allowed from inside its own `changed` */

#endif
