/* bridge_lines.h - messages as lines, of a descriptor that is polled: read from one, written to one. */
#ifndef CMD_BRIDGE_LINES_H
#define CMD_BRIDGE_LINES_H

#include "base/buf.h"

#define BRIDGE_MAX_LINE                                                                            \
    (32u << 20) /* no service takes a larger message; what is longer is passed over */
#define BRIDGE_MAX_QUEUE (256u << 20) /* of a client that does not read: then it is left */

struct bridge_input {
    int fd; /* borrowed */
    struct buf line;
    bool has_ended;
};

/* A whole line without its end and the blanks around it, never empty; data is NULL for one that was too long. */
typedef void bridge_line_fn(void *arg, struct slice line);

void bridge_input_init(struct bridge_input *in, int fd);
void bridge_input_done(struct bridge_input *in);
/* Reads once, which waits when nothing is there. At the end has_ended is set; what came last is a line without its end, too. */
void bridge_input_read(struct bridge_input *in, bridge_line_fn *on_line, void *arg);

struct bridge_output {
    int fd; /* borrowed */
    struct buf queue;
    size_t at; /* what is written of it */
    bool is_socket, is_broken;
};

void bridge_output_init(struct bridge_output *out, int fd);
void bridge_output_done(struct bridge_output *out);
/* `text` is one value of JSON and becomes one line. */
void bridge_output_add(struct bridge_output *out, struct slice text);
/* When the descriptor takes something. Writes no more than that, so it does not wait. */
void bridge_output_write(struct bridge_output *out);
size_t bridge_output_pending(const struct bridge_output *out);

#endif
