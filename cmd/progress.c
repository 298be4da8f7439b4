#include "cmd/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

#define SHOW_AFTER_MS 300 /* what is over by then needs no line */
#define DRAW_MS       200
#define LOOK_MS       100
#define MAX_COLUMNS   200
#define BAR_COLUMNS   20

static int64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* this clock is always there */
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void progress_begin(struct progress *p, bool quiet, int64_t total)
{
    sigset_t signals;

    *p = (struct progress){ .is_terminal = !quiet && isatty(STDERR_FILENO),
                            .total = total,
                            .begun_ms = now_ms(),
                            .name = "" };
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &signals, &p->old_signals); /* these arguments are good */
    p->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

void progress_next(struct progress *p, const char *name)
{
    p->name = name;
}

void progress_size(int64_t bytes, char ret[PROGRESS_SIZE_CHARS])
{
    static const char *const UNITS[] = { "kB", "MB", "GB", "TB", "PB" };
    double n = (double)bytes / 1000;
    size_t unit = 0;

    if (bytes < 1000) {
        (void)snprintf(ret, PROGRESS_SIZE_CHARS, "%lld bytes", (long long)bytes);
        return;
    }
    for (; n >= 999.5 && unit + 1 < ARRAY_LEN(UNITS); unit++)
        n /= 1000;
    (void)snprintf(ret, PROGRESS_SIZE_CHARS, "%.*f %s", n < 9.95 ? 1 : 0, n, UNITS[unit]);
}

char *progress_plain(const char *name)
{
    char *plain = strdup(name);

    for (char *c = plain; c && *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
        else if ((unsigned char)c[0] == 0xc2 && ((unsigned char)c[1] & 0xe0) == 0x80)
            c[0] = c[1] = '?'; /* U+0080 to U+009F */
    }
    return plain;
}

/* ---- the line ---- */

static int columns(void)
{
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return 80;
    return size.ws_col < MAX_COLUMNS ? size.ws_col : MAX_COLUMNS;
}

/* "[####    ]  45%  1.2 GB of 2.6 GB, 53 MB/s, 26 s left" */
static void write_figures(const struct progress *p, int64_t done, int64_t ms, char *ret, size_t n)
{
    char have[PROGRESS_SIZE_CHARS], all[PROGRESS_SIZE_CHARS], speed[PROGRESS_SIZE_CHARS];
    char bar[BAR_COLUMNS + 1];
    double rate = ms > 0 ? (double)done * 1000 / (double)ms : 0;

    progress_size(done, have);
    progress_size((int64_t)rate, speed);
    if (p->total <= 0) {
        (void)snprintf(ret, n, "%s, %s/s", have, speed);
        return;
    }
    int64_t shown = done < p->total ? done : p->total; /* a file may grow meanwhile */
    double part = (double)shown / (double)p->total;
    memset(bar, ' ', BAR_COLUMNS);
    memset(bar, '#', (size_t)(part * BAR_COLUMNS));
    bar[BAR_COLUMNS] = '\0';
    progress_size(p->total, all);
    (void)snprintf(ret, n, "[%s] %3d%%  %s of %s, %s/s, %.0f s left", bar, (int)(part * 100), have,
                   all, speed, rate > 0 ? (double)(p->total - shown) / rate : 0);
}

/* The name's end is what tells two apart. */
static const char *shortened(const char *name, int room)
{
    size_t n = 0;
    const char *at = name + strlen(name);

    while (at > name && n < (size_t)(room > 0 ? room : 0))
        n += (*--at & 0xc0) != 0x80;
    while ((*at & 0xc0) == 0x80)
        at++;
    return at;
}

static void draw(struct progress *p, int64_t done, int64_t now)
{
    char figures[160];
    char *name = progress_plain(p->name);

    write_figures(p, done, now - p->begun_ms, figures, sizeof figures);
    int room = columns() - 1 - (int)strlen(figures) - 2;
    fprintf(stderr, "\r\033[K%s%s%s", name ? shortened(name, room) : "", name && *name ? "  " : "",
            figures);
    (void)fflush(stderr);
    free(name);
    p->is_shown = true;
}

/* ---- how far ---- */

static bool may_go_on(struct progress *p, int64_t now)
{
    struct signalfd_siginfo info;

    if (!p->caught && now - p->looked_ms >= LOOK_MS) {
        p->looked_ms = now;
        if (p->signal_fd >= 0 && read(p->signal_fd, &info, sizeof info) == sizeof info)
            p->caught = (int)info.ssi_signo;
    }
    return !p->caught;
}

bool progress_at(struct progress *p, int64_t at)
{
    int64_t now = now_ms();

    if (p->is_terminal && now - p->begun_ms >= SHOW_AFTER_MS && now - p->drawn_ms >= DRAW_MS) {
        draw(p, p->before + at, now);
        p->drawn_ms = now;
    }
    return may_go_on(p, now);
}

void progress_add(struct progress *p, int64_t bytes)
{
    p->before += bytes;
}

void progress_end(struct progress *p)
{
    if (p->is_shown)
        fprintf(stderr, "\r\033[K");
    p->is_shown = false;
    if (p->signal_fd >= 0)
        close(p->signal_fd);
    p->signal_fd = -1;
    (void)sigprocmask(SIG_SETMASK, &p->old_signals, NULL); /* as it was */
}
