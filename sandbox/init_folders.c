#include "sandbox/init_folders.h"

#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#define INTERESTING (IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF)

/* Which name appeared does not matter: all who wait are few and try to connect, which is cheap. A
 * kernel that makes files in a loop only burns its own sandbox's time. */
static void readable(struct init_watch *watch, uint32_t events)
{
    (void)events;
    struct init_folders *f = INIT_OWNER(watch, struct init_folders, watch);
    char drop[4096];
    while (read(watch->fd, drop, sizeof drop) == (ssize_t)sizeof drop)
        ;
    for (struct init_waiter *w = f->waiters, *next; w; w = next) {
        next = w->next; /* on_change may leave, and takes no other waiter with it */
        w->on_change(w);
    }
}

void init_folders_init(struct init_folders *f, struct init_loop *l)
{
    f->loop = l;
    f->watch.fd = -1;
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd >= 0)
        (void)init_watch_open(l, &f->watch, fd, EPOLLIN, readable); /* else by timers */
}

int init_folders_wait(struct init_folders *f, struct init_waiter *w, const char *path,
                      void (*on_change)(struct init_waiter *))
{
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    char folder[PATH_MAX];
    if (f->watch.fd < 0 || len == 0 || len >= sizeof folder)
        return -1;
    memcpy(folder, path, len);
    folder[len] = '\0';
    /* The same folder gives the same number again, so this also renews a watch whose folder went.
     */
    int wd = inotify_add_watch(f->watch.fd, folder, INTERESTING | IN_ONLYDIR);
    if (wd < 0) {
        init_folders_leave(f, w);
        return -1;
    }
    if (w->wd < 0) {
        w->next = f->waiters;
        f->waiters = w;
    }
    w->wd = wd;
    w->on_change = on_change;
    return 0;
}

void init_folders_leave(struct init_folders *f, struct init_waiter *w)
{
    if (w->wd < 0)
        return;
    struct init_waiter **at = &f->waiters;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    bool shared = false;
    for (struct init_waiter *other = f->waiters; other; other = other->next)
        shared = shared || other->wd == w->wd;
    if (!shared)
        (void)inotify_rm_watch(f->watch.fd, w->wd); /* may be gone with its folder */
    w->wd = -1;
}
