/* progress.h - how far long work is, as one line on a terminal that is drawn again and again. Elsewhere nothing is shown. Also hears
 * Ctrl-C meanwhile, so that what is half done can be taken back. */
#ifndef CMD_PROGRESS_H
#define CMD_PROGRESS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool is_terminal, is_shown;
    int64_t total, before; /* bytes: of all, -1: nobody knows; of what is done */
    int64_t begun_ms, drawn_ms, looked_ms;
    const char *name;      /* what goes by now */
    int signal_fd, caught; /* caught: the signal that ends the work; 0: none */
    sigset_t old_signals;
};

/* Until progress_end SIGINT, SIGTERM and SIGHUP end nothing by themselves. quiet: only that. */
void progress_begin(struct progress *p, bool quiet, int64_t total);
void progress_next(struct progress *p, const char *name); /* borrowed */
/* `now` bytes of this one are done. False: the work is to end. */
bool progress_at(struct progress *p, int64_t now);
void progress_add(struct progress *p, int64_t bytes); /* this one is done, it had so many */
/* Takes the line away. */
void progress_end(struct progress *p);

/* "1.5 MB" */
#define PROGRESS_SIZE_CHARS 32
void progress_size(int64_t bytes, char ret[PROGRESS_SIZE_CHARS]);

/* A name for a terminal: control characters become '?'. Freed by the caller. */
char *progress_plain(const char *name);

#endif
