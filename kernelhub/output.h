/* output.h - what an execution prints, cut to its limit: the head goes on at once, the newest part waits in a ring until the end. */
#ifndef KERNELHUB_OUTPUT_H
#define KERNELHUB_OUTPUT_H

#include "base/buf.h"
#include "protocol/event_record.h"

struct output {
    int64_t max_bytes;      /* head and tail together */
    int64_t head_bytes;     /* gone on so far */
    int64_t tail_bytes, tail_messages; /* in the ring */
    int64_t dropped_bytes, dropped_messages; /* since the last gap that was said */
    int64_t flushed_bytes;  /* that went through the ring */
    bool said_gap;
    struct output_item *first, *last;
    unsigned n_blobs;       /* large values put aside so far */
};

void output_init(struct output *o, int64_t max_bytes);
void output_recover(struct output *o); /* head_bytes says all that went on before: what is more than a head is taken
                                          * for what went through the ring (it may be the code's own length) */
void output_done(struct output *o);

enum output_way {
    OUTPUT_ON,   /* send it on */
    OUTPUT_KEPT, /* it is in the ring (copied), or what of it fits there */
    OUTPUT_CUT,  /* a text whose beginning goes on: `head` has the fields to send; the rest is in the ring */
};
/* Where an output goes. Three quarters of the limit are head; the ring is a quarter of
 * what the limit leaves beside what went through it before: however often it is emptied, that is never more than the limit again. */
enum output_way output_admit(struct output *o, enum event_type type, struct slice fields, int64_t unix_us, struct buf *head);

bool output_has_gap(const struct output *o);
/* At the end, or when the code asks for input: the fields of the `gap` event (when output_has_gap; output_gap_said then counts anew),
 * then the ring's items, oldest first, each removed. */
void output_write_gap(const struct output *o, struct buf *fields);
void output_gap_said(struct output *o);
bool output_next(struct output *o, enum event_type *ret_type, char **ret_fields, size_t *ret_len, int64_t *ret_unix_us); /* caller frees */

/* Copies the fields of a display or result, with each MIME value above OUTPUT_INLINE_BYTES replaced by {"ref","bytes"}. put is called
 * with the value's text for each and may take it away, n counts on from o->n_blobs. */
#define OUTPUT_INLINE_BYTES (256u * 1024)
typedef void (*output_blob_fn)(void *arg, unsigned n, const char *media_type, struct buf *text);
void output_put_aside(struct output *o, const struct uuid *execution_id, struct slice fields, struct buf *out, output_blob_fn put, void *arg);

/* Whether a MIME value is what output_put_aside writes for this execution, to the letter: then which blob it names. A kernel cannot
 * say so (event_from_message); what an earlier hub stored for it may. */
bool output_is_ref(struct slice value, const struct uuid *execution_id, unsigned *ret_n);

#endif
