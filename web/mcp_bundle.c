#include "web/mcp_bundle.h"

#include "base/cleanup.h"
#include "base/json.h"

enum use { USE_IMAGE, USE_AUDIO, USE_TEXT, USE_OTHER };

/* In each use the best first. Text: a plain one is often only "<IPython.core.display.Markdown object>", and HTML is long. */
static const struct {
    struct mcp_media media;
    enum use use;
} MEDIA[] = {
    { { "image/png", "png", true }, USE_IMAGE },
    { { "image/jpeg", "jpg", true }, USE_IMAGE },
    { { "image/webp", "webp", true }, USE_IMAGE },
    { { "image/gif", "gif", true }, USE_IMAGE },
    { { "audio/wav", "wav", true }, USE_AUDIO },
    { { "audio/x-wav", "wav", true }, USE_AUDIO },
    { { "audio/mpeg", "mp3", true }, USE_AUDIO },
    { { "audio/ogg", "ogg", true }, USE_AUDIO },
    { { "text/markdown", "md", false }, USE_TEXT },
    { { "application/json", "json", false }, USE_TEXT },
    { { "text/latex", "tex", false }, USE_TEXT },
    { { "text/plain", "txt", false }, USE_TEXT },
    { { "text/html", "html", false }, USE_OTHER },
    { { "image/svg+xml", "svg", false }, USE_OTHER },
    { { "application/vnd.plotly.v1+json", "plotly.json", false }, USE_OTHER },
    { { "application/vnd.vegalite.v5+json", "vegalite.json", false }, USE_OTHER },
    { { "application/geo+json", "geojson", false }, USE_OTHER },
    { { "application/pdf", "pdf", true }, USE_OTHER },
    { { "video/mp4", "mp4", true }, USE_OTHER },
    { { "video/webm", "webm", true }, USE_OTHER },
};

static struct mcp_media_value best(struct slice data, enum use use)
{
    struct mcp_media_value found = { .media = NULL };
    for (size_t i = 0; i < ARRAY_LEN(MEDIA) && !found.media; i++)
        if (MEDIA[i].use == use && json_member(data, MEDIA[i].media.media_type, &found.value))
            found.media = &MEDIA[i].media;
    return found;
}

struct mcp_bundle mcp_bundle_choose(struct slice data)
{
    struct mcp_bundle b = { .image = best(data, USE_IMAGE) };
    if (!b.image.media)
        b.audio = best(data, USE_AUDIO);
    if (!b.image.media && !b.audio.media)
        b.text = best(data, USE_TEXT);
    return b;
}

bool mcp_bundle_other(struct slice data, size_t at, struct mcp_media_value *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(MEDIA); i++) {
        if (MEDIA[i].use != USE_OTHER || !json_member(data, MEDIA[i].media.media_type, &ret->value))
            continue;
        ret->media = &MEDIA[i].media;
        if (at-- == 0)
            return true;
    }
    return false;
}

static bool first_of(struct slice data, struct mcp_media_value *ret)
{
    struct mcp_bundle b = mcp_bundle_choose(data);
    const struct mcp_media_value *shown[] = { &b.image, &b.audio, &b.text };
    for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
        if (shown[i]->media) {
            *ret = *shown[i];
            return true;
        }
    }
    return mcp_bundle_other(data, 0, ret);
}

bool mcp_bundle_find(struct slice data, const char *extension, struct mcp_media_value *ret)
{
    if (!extension || !extension[0])
        return first_of(data, ret);
    for (size_t i = 0; i < ARRAY_LEN(MEDIA); i++) {
        if (strcmp(MEDIA[i].media.extension, extension) == 0 &&
            json_member(data, MEDIA[i].media.media_type, &ret->value)) {
            ret->media = &MEDIA[i].media;
            return true;
        }
    }
    return false;
}
