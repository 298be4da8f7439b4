/* mcp_bundle.h - one output of an execution, a bundle of media types: which of them a model is shown, and under which names the
 * others can be read. Pure. */
#ifndef WEB_MCP_BUNDLE_H
#define WEB_MCP_BUNDLE_H

#include "base/slice.h"

/* A media type that is known, and the end of the name under which it can be read: "output-3.svg". */
struct mcp_media {
    const char *media_type, *extension;
    bool is_base64; /* in a bundle */
};

struct mcp_media_value {
    const struct mcp_media *media; /* NULL: there is none */
    struct slice value;            /* JSON */
};

/* What is shown: an image, or a sound, or a text; `text` of an output with an image is empty. */
struct mcp_bundle {
    struct mcp_media_value image, audio, text;
};

struct mcp_bundle mcp_bundle_choose(struct slice data /* JSON object */);

/* What can be read beside that: call with at = 0, 1 … until it is false. */
bool mcp_bundle_other(struct slice data, size_t at, struct mcp_media_value *ret);

/* The one with that extension; NULL or "": the one that is shown. False: there is none. */
bool mcp_bundle_find(struct slice data, const char *extension, struct mcp_media_value *ret);

#endif
