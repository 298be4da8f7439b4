/* notebook.h - executions and their events written as a Jupyter notebook, piece by piece. Pure: no store, no clock.
 *
 *     {"cells":[ CELL , CELL … ],"metadata":{…},"nbformat":4,"nbformat_minor":5}
 *     CELL: {"cell_type":"code","id":…,"metadata":{"kernelhub":{…}},"execution_count":…,"source":…,"outputs":[ OUTPUT , … ]}
 *
 * What is written is valid whatever a kernel has said. Source of the format: nbformat.v4.5.schema.json of the package nbformat. */
#ifndef KERNELHUB_NOTEBOOK_H
#define KERNELHUB_NOTEBOOK_H

#include "base/buf.h"
#include "kernelhub/store.h"

/* Where the writing stands; all zero at the beginning. */
struct notebook {
    size_t n_cells;
    size_t n_outputs; /* of the present cell */
    const char *
        stream; /* its name, while the last output is one and its text may go on; NULL: it is none */
};

/* An event as it is stored. */
struct notebook_event {
    enum event_type type;
    struct slice members;            /* JSON object of its fields, checked */
    const struct uuid *execution_id; /* whose it is: of its large values */
    /* Appends the text of its large value n; false: it cannot be had. */
    bool (*value)(void *arg, const struct uuid *execution_id, unsigned n, struct buf *text);
    void *arg;
};

/* row: its id, code, execution_count (-1: null), status, client, started_us and finished_us (0: null) are used. */
void notebook_begin_cell(struct notebook *n, const struct execution_row *row, struct buf *out);
/* One output more. Texts of one stream are joined while nothing comes between them; a gap is a text on stderr; what is no output
 * writes nothing. The caller leaves updates of displays out, or gives them in the place of what they update. */
void notebook_add(struct notebook *n, const struct notebook_event *event, struct buf *out);
void notebook_end_cell(struct notebook *n, struct buf *out);

/* What the notebook says about its kernel; NULL and empty: not known. */
struct notebook_kernel {
    const char *name, *display_name, *language;
    struct slice language_info; /* JSON object of kernel_info_reply, checked */
};
void notebook_end(struct notebook *n, const struct notebook_kernel *k, struct buf *out);

/* Where the outputs of a cell begin that it cleared: its events go by in order, only the newest clear_output counts that took effect
 * (with `wait`: when an output followed that is no update). All zero at the beginning. */
struct notebook_clear {
    uint64_t first;   /* outputs with a number above this stay */
    uint64_t pending; /* a clear_output that waits; 0: none */
};
void notebook_clear_look(struct notebook_clear *c, enum event_type type, struct slice members,
                         uint64_t seq);

bool notebook_is_update(struct slice members); /* of a display */

#endif
