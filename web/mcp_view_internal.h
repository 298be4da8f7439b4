/* mcp_view_internal.h - what the files that are the view share: mcp_view.c (what there is), mcp_view_text.c (the text and how much of
 * each part is in it), mcp_view_write.c (the blocks). */
#ifndef WEB_MCP_VIEW_INTERNAL_H
#define WEB_MCP_VIEW_INTERNAL_H

#include "base/uuid.h"
#include "protocol/image_head.h"
#include "web/mcp_bundle.h"
#include "web/mcp_text.h"
#include "web/mcp_view.h"

#define MAX_OUTPUTS 64
#define MAX_LINKS   10

enum part_kind {
    PART_TEXT,  /* a section of its own, cut to its share */
    PART_IMAGE, /* or a sound: a block of its own, or a link */
    PART_LINK,  /* only a link */
};

struct part {
    enum part_kind kind;
    char label[24];  /* of a text: "stdout" */
    char stream[40]; /* get_execution's, and the last name in its URI */
    struct mcp_text text;
    const struct mcp_media *media; /* NULL: text/plain */
    struct buf base64;             /* of an image or a sound that is here; without white space */
    size_t bytes;                  /* of the image or sound; of a link its value's */
    struct image_head head;
    bool is_image; /* head is good */
    bool is_inlined;
    bool is_aside; /* in the store, as blob */
    unsigned blob;
    bool is_main;
    size_t share;     /* characters */
    struct buf shown; /* of a text */
    bool is_cut;
};

struct mcp_view {
    struct mcp_view_options options;
    struct buf record;
    struct uuid id;
    char sandbox[64]; /* id, or "default" */
    char status[24];
    struct part *parts;
    size_t n_parts, room;
    size_t n_outputs, n_left_out; /* of them more than are looked at */
    size_t n_images, images_bytes;
    struct buf error_name, error_message;
};

/* What is cut, here or when it was stored. */
bool mcp_view_is_cut(const struct mcp_view *v);
/* "sandbox://…/executions/…/STREAM" */
void mcp_view_uri(const struct mcp_view *v, const char *stream, struct buf *out);
void mcp_view_decide(struct mcp_view *v); /* which images are shown, now that all are known */
void mcp_view_write_text(struct mcp_view *v, struct buf *out);

#endif
