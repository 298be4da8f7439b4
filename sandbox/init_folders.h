/* init_folders.h - the folders in which somebody waits for a socket to appear (inotify). */
#ifndef SANDBOX_INIT_FOLDERS_H
#define SANDBOX_INIT_FOLDERS_H

#include "sandbox/init_loop.h"

struct init_waiter {
    int wd; /* -1: not waiting */
    void (*on_change)(struct init_waiter *w);
    struct init_waiter *next;
};

struct init_folders {
    struct init_loop *loop;
    struct init_watch
        watch; /* the one inotify descriptor, made before user code could use them up */
    struct init_waiter *waiters;
};

/* Without inotify everything still works, by timers: no result to check. */
void init_folders_init(struct init_folders *f, struct init_loop *l);

/* Calls on_change, until init_folders_leave, whenever something appears in the folder of `path` or
 * the folder itself goes away. -1 when that cannot be promised (then use a timer); waiting twice
 * with the same waiter is fine. */
int init_folders_wait(struct init_folders *f, struct init_waiter *w, const char *path,
                      void (*on_change)(struct init_waiter *));
void init_folders_leave(struct init_folders *f, struct init_waiter *w);

#endif
