/* printer.h - the events of one execution for a person: stdout to stdout, stderr to stderr, results
 * as text, images into files. */
#ifndef CMD_PRINTER_H
#define CMD_PRINTER_H

#include "base/uuid.h"
#include "cmd/client.h"

struct printer {
    struct client *client; /* fetches what is too large for an event; NULL: nothing does */
    const struct uuid *execution_id; /* only its blobs are fetched */
    const char *save_dir;  /* NULL: images are only named */
    bool json;             /* every event as the line it came in */
    bool colour;           /* tracebacks keep their escapes */
    unsigned n_saved;
    char status[32]; /* of `finished`; "" before */
    int exit_code;   /* of `finished`; 1 when it has none */
};

/* The client and the id are borrowed. */
void printer_init(struct printer *p, struct client *client, const struct uuid *execution_id,
                  const char *save_dir, bool json);

/* One event record. Unknown types are skipped. */
void printer_event(struct printer *p, struct slice line);

/* A finished execution's record (API.md, reply of POST /execute), all at once. */
void printer_record(struct printer *p, const json_t *record);

/* How it ended (of `finished` or a record): into status and exit_code, and to stderr when it is not the plain end. */
void printer_end(struct printer *p, const json_t *object);

/* Appends text without its ANSI escapes. */
void printer_strip(struct buf *out, struct slice text);

#endif
