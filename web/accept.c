#include "web/accept.h"

#include <stdlib.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/slice.h"

static const struct {
    const char *media;
    enum form form;
} KNOWN[] = {
    { "application/json", FORM_JSON },
    { "text/event-stream", FORM_SSE },
    { "application/x-ndjson", FORM_NDJSON },
    { "application/ndjson", FORM_NDJSON },
    { "*/*", FORM_JSON },
    { "application/*", FORM_JSON },
};

/* q in thousandths; 1000 when it is not given or makes no sense. */
static int quality(struct slice parameters)
{
    for (size_t i = 0; i + 3 < parameters.len; i++) {
        const char *at = parameters.data + i;
        if ((at[0] == ';' || at[0] == ' ') && (at[1] | 32) == 'q' && at[2] == '=') {
            if (at[3] != '0')
                return 1000;
            int v = 0, scale = 100;
            for (size_t k = i + 5; k < parameters.len && scale; k++, scale /= 10) {
                char c = parameters.data[k];
                if (c < '0' || c > '9')
                    break;
                v += (c - '0') * scale;
            }
            return v;
        }
    }
    return 1000;
}

static bool known(struct slice media, enum form *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(KNOWN); i++) {
        if (media.len == strlen(KNOWN[i].media) &&
            strncasecmp(media.data, KNOWN[i].media, media.len) == 0) {
            *ret = KNOWN[i].form;
            return true;
        }
    }
    return false;
}

enum form accept_form(const char *accept)
{
    enum form best = FORM_JSON, form;
    int best_quality = 0;
    for (const char *at = accept; at && *at;) {
        at += strspn(at, ", \t");
        size_t n = strcspn(at, ","), media = strcspn(at, ",; \t");
        int q = quality(slice_of(at + media, n - media));
        if (known(slice_of(at, media), &form) && q > best_quality) {
            best = form;
            best_quality = q;
        }
        at += n;
    }
    return best;
}

/* In thousandths, of the media type as it stands there; 0: it does not. */
static int named(const char *accept, const char *wanted)
{
    for (const char *at = accept; at && *at;) {
        at += strspn(at, ", \t");
        size_t n = strcspn(at, ","), media = strcspn(at, ",; \t");
        if (media == strlen(wanted) && strncasecmp(at, wanted, media) == 0)
            return quality(slice_of(at + media, n - media));
        at += n;
    }
    return 0;
}

bool accept_is_json(const char *accept)
{
    int json = named(accept, "application/json");
    return json > 0 && json >= named(accept, "text/plain");
}

const char *form_media_type(enum form form)
{
    switch (form) {
    case FORM_SSE:
        return "text/event-stream";
    case FORM_NDJSON:
        return "application/x-ndjson";
    case FORM_JSON:
        break;
    }
    return "application/json";
}
