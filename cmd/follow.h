/* follow.h - an execution shown to its end, through broken connections and restarts of the service; Ctrl-C interrupts it. */
#ifndef CMD_FOLLOW_H
#define CMD_FOLLOW_H

#include "base/uuid.h"
#include "cmd/client.h"
#include "cmd/printer.h"
#include "cmd/prompt.h"

#define FOLLOW_NOT_SEEN 125 /* exit code when it is not the code that failed */

struct follow {
    const char *command; /* for messages: "run" */
    struct client *client;
    struct printer *printer;
    struct uuid id;
    const char *path;    /* POSTed with `body` until the first event; NULL: it is there already */
    json_t *body;        /* borrowed; has our execution_id, so that a repeat attaches */
    bool quiet;          /* print no event */
    bool asks;           /* input() asks at the terminal */
    uint64_t last_seq;   /* shown already */
    bool ret_left;       /* Ctrl-C twice, or SIGTERM: it was left running */

    /* follow's own */
    unsigned tries, interrupts;
    int signal_fd, input_fd;
    struct prompt prompt;
};

/* Returns when it has ended (printer->status is set) or was left; else -1 with e. */
int follow(struct follow *f, struct err *e);

/* Prints its whole record. */
int follow_print_record(struct follow *f, struct err *e);

/* The exit code of a command that followed: the code's own, 130 when it was left, 125 with a message when rc < 0. */
int follow_exit_code(const struct follow *f, int rc, const struct err *e);

#endif
