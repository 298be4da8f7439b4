/* mcp_text.h - one text of an execution, shown to a model: whole, or its beginning and its end with a line between them that says
 * what is missing and how to read it. Pure. */
#ifndef WEB_MCP_TEXT_H
#define WEB_MCP_TEXT_H

#include "base/buf.h"

/* A text that is longer than two windows is looked at through them: its beginning and its end. */
#define MCP_TEXT_WINDOW (256u * 1024)

struct mcp_text {
    size_t bytes; /* of all of it, as it was written */
    size_t newlines;
    struct buf source, plain;           /* of the beginning, or of all of it */
    struct buf tail_source, tail_plain; /* empty: the others are all of it */
    size_t tail_offset, tail_newlines;  /* how much of it is before the tail */
    size_t chars;                       /* of what there is to be shown */
};

/* A JSON string between its quotes, checked. */
void mcp_text_init_raw(struct mcp_text *t, struct slice raw);
void mcp_text_init(struct mcp_text *t, struct slice text);
void mcp_text_done(struct mcp_text *t); /* also of one that is all zero */

/* Where the rest can be read. */
struct mcp_text_place {
    const char *execution_id;
    const char *stream; /* get_execution's; NULL: nowhere */
};

#define MCP_TEXT_MARK_CHARS 300 /* of the line that stands for what is missing, at most */

/* Appends at most max_chars characters of it; true: something is missing. Below MCP_TEXT_MARK_CHARS nothing of the text itself is
 * shown unless it fits. */
bool mcp_text_write(const struct mcp_text *t, const struct mcp_text_place *place, size_t max_chars,
                    struct buf *out);

#endif
