/* mcp_view.h - an execution's record (API.md), rendered as the result of a tool: text that stands alone, images, links to the rest,
 * and the same as structured content. Pure: who has the record asks which large images it wants, gives them, and has it written.
 *
 *     record ──► mcp_view_new ──► wants? ──► give ──► … ──► mcp_view_write */
#ifndef WEB_MCP_VIEW_H
#define WEB_MCP_VIEW_H

#include "base/buf.h"

#define MCP_VIEW_MIN_CHARS     1000
#define MCP_VIEW_DEFAULT_CHARS 20000
#define MCP_VIEW_MAX_CHARS     200000

/* An image is in the result itself when it is no larger than what models and their clients take. */
#define MCP_VIEW_MAX_IMAGES       4
#define MCP_VIEW_MAX_IMAGE_BYTES  (512u * 1024)
#define MCP_VIEW_MAX_IMAGES_BYTES (525u * 1024) /* all of them: 700 KiB as base64 */
#define MCP_VIEW_MAX_IMAGE_SIDE   1568          /* pixels */
#define MCP_VIEW_MAX_AUDIO_BYTES  (256u * 1024)

struct mcp_view_options {
    size_t max_chars;  /* of the text, and of the structured strings together: MIN to MAX */
    bool has_links;    /* the client knows resource_link */
    bool is_text_only; /* no structured content */
    bool exceptions_are_errors; /* isError also for what user code raises */
    bool is_look;     /* nobody ran it just now: however it ended, the look is none of its errors */
    bool is_run_code; /* structured content also has success, output and exit_code */
    bool has_own_files; /* its sandbox has a workspace of its own: else files are the default one's */
    char sandbox[37]; /* where it will run, when its record does not say yet; "": the default one */
};

struct mcp_view;

struct mcp_view *mcp_view_new(struct slice record /* checked; copied */,
                              const struct mcp_view_options *options);
void mcp_view_free(struct mcp_view *v); /* NULL is fine */

/* The number of an image that the store keeps aside and that would be shown. False: it can be written now. */
bool mcp_view_wants(const struct mcp_view *v, unsigned *ret_blob);
void mcp_view_give(struct mcp_view *v, struct slice text /* base64; empty: it is not there */);

/* Once. Appends {"content":[…],"structuredContent":{…},"isError":…}. */
void mcp_view_write(struct mcp_view *v, struct buf *out);

/* Statuses that make a result an error for a model. */
bool mcp_view_is_error(struct slice status);

#endif
