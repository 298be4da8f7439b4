/* init_loop.h - init's one loop: descriptors and timers that call back, and the clock they share.
 * Watches and timers are embedded in objects that are never freed, so a late event meets at worst
 * an object that is idle. */
#ifndef SANDBOX_INIT_LOOP_H
#define SANDBOX_INIT_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INIT_OWNER(member_ptr, type, member)                                                       \
    ((type *)(void *)((char *)(member_ptr)-offsetof(type, member)))

struct init_watch {
    int fd;        /* owned from init_watch_open to init_watch_close; -1 when there is none */
    uint32_t mask; /* EPOLLIN and so on; 0: not in the epoll set, so a hang-up cannot spin */
    void (*on_ready)(struct init_watch *w, uint32_t events);
};

struct init_timer {
    int64_t due_ms;
    void (*on_due)(struct init_timer *t);
    struct init_timer *next;
    bool armed;
};

struct init_loop {
    int epoll_fd;
    int64_t now_ms; /* monotonic, as of the last wake-up */
    struct init_timer *timers;
    bool stale; /* a watch was closed: what is left of the batch may speak of a reused one */
    bool ended;
    int exit_code;
};

int init_loop_init(struct init_loop *l); /* 0 or -1 with errno */
void init_loop_run(struct init_loop *l); /* until init_loop_end */
void init_loop_end(struct init_loop *l, int exit_code);

/* Takes fd in any case; -1 with errno when it cannot be watched, then fd is closed. */
int init_watch_open(struct init_loop *l, struct init_watch *w, int fd, uint32_t mask,
                    void (*on_ready)(struct init_watch *, uint32_t));
int init_watch_want(struct init_loop *l, struct init_watch *w, uint32_t mask);
void init_watch_close(struct init_loop *l, struct init_watch *w); /* fine when already closed */

/* One shot; arming an armed timer moves it. */
void init_timer_arm(struct init_loop *l, struct init_timer *t, int64_t in_ms,
                    void (*on_due)(struct init_timer *));
void init_timer_disarm(struct init_loop *l, struct init_timer *t);

#endif
