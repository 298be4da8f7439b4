#include "web/head.h"

#include <microhttpd.h>
#include <stddef.h>
#include <strings.h>

#include "base/cleanup.h"

static const struct {
    const char *name;
    size_t offset;
    bool once; /* two of them are somebody's trick */
} FIELDS[] = {
    { "Authorization", offsetof(struct head, authorization), true },
    { "X-API-Key", offsetof(struct head, api_key), true },
    { "Host", offsetof(struct head, host), true },
    { "Origin", offsetof(struct head, origin), true },
    { "Accept", offsetof(struct head, accept), false },
    { "Last-Event-ID", offsetof(struct head, last_event_id), true },
    { "Range", offsetof(struct head, range), true },
    { "If-None-Match", offsetof(struct head, if_none_match), false },
    { "Content-Length", offsetof(struct head, content_length), true },
    { "Transfer-Encoding", offsetof(struct head, transfer_encoding), true },
    { "Expect", offsetof(struct head, expect), false },
    { "Forwarded", offsetof(struct head, forwarded), false },
    { "X-Forwarded-For", offsetof(struct head, x_forwarded_for), false },
    { "X-Forwarded-Proto", offsetof(struct head, x_forwarded_proto), false },
    { "Cookie", offsetof(struct head, cookie), false },
    { "Content-Type", offsetof(struct head, content_type), true },
    { "Sec-Fetch-Site", offsetof(struct head, fetch_site), true },
    { "Sec-Fetch-Mode", offsetof(struct head, fetch_mode), true },
};

static enum MHD_Result on_field(void *arg, enum MHD_ValueKind kind, const char *name,
                                const char *value)
{
    struct head *h = arg;
    for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++) {
        if (strcasecmp(name, FIELDS[i].name) != 0)
            continue;
        const char **at = (const char **)((char *)h + FIELDS[i].offset);
        if (*at && FIELDS[i].once)
            h->twice = FIELDS[i].name;
        else if (!*at)
            *at = value ? value : "";
        break;
    }
    return MHD_YES;
}

void head_read(struct head *h, struct MHD_Connection *mhd)
{
    *h = (struct head){ .host = NULL };
    (void)MHD_get_connection_values(mhd, MHD_HEADER_KIND, on_field, h); /* the number of fields */
}
