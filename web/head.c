#include "web/head.h"

#include <microhttpd.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

/* What a field means that is there more than once. */
enum several {
    FIRST,
    LAST, /* each proxy on the way may have added one of its own */
    TRICK /* somebody's: to be refused */
};

static const struct {
    const char *name;
    size_t offset;
    enum several several;
} FIELDS[] = {
    { "Authorization", offsetof(struct head, authorization), TRICK },
    { "X-API-Key", offsetof(struct head, api_key), TRICK },
    { "Host", offsetof(struct head, host), TRICK },
    { "Origin", offsetof(struct head, origin), TRICK },
    { "Accept", offsetof(struct head, accept), FIRST },
    { "Last-Event-ID", offsetof(struct head, last_event_id), TRICK },
    { "Range", offsetof(struct head, range), TRICK },
    { "If-Range", offsetof(struct head, if_range), TRICK },
    { "If-Match", offsetof(struct head, if_match), TRICK },
    { "If-None-Match", offsetof(struct head, if_none_match), FIRST },
    { "Content-Length", offsetof(struct head, content_length), TRICK },
    { "Transfer-Encoding", offsetof(struct head, transfer_encoding), TRICK },
    { "Expect", offsetof(struct head, expect), FIRST },
    { "Forwarded", offsetof(struct head, forwarded), FIRST },
    { "X-Forwarded-For", offsetof(struct head, x_forwarded_for), LAST },
    { "X-Forwarded-Proto", offsetof(struct head, x_forwarded_proto), FIRST },
    { "Cookie", offsetof(struct head, cookie), FIRST },
    { "Content-Type", offsetof(struct head, content_type), TRICK },
    { "Content-Encoding", offsetof(struct head, content_encoding), FIRST },
    { "Content-Range", offsetof(struct head, content_range), FIRST },
    { "Sec-Fetch-Site", offsetof(struct head, fetch_site), TRICK },
    { "MCP-Protocol-Version", offsetof(struct head, mcp_version), TRICK },
    { "Mcp-Session-Id", offsetof(struct head, mcp_session), TRICK },
    { "Mcp-Method", offsetof(struct head, mcp_method), TRICK },
    { "Mcp-Name", offsetof(struct head, mcp_name), TRICK },
    { "Sec-Fetch-Mode", offsetof(struct head, fetch_mode), TRICK },
};

static enum MHD_Result on_field(void *arg, enum MHD_ValueKind kind, const char *name,
                                const char *value)
{
    struct head *h = arg;
    for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++) {
        if (strcasecmp(name, FIELDS[i].name) != 0)
            continue;
        const char **at = (const char **)((char *)h + FIELDS[i].offset);
        if (*at && FIELDS[i].several == TRICK)
            h->twice = FIELDS[i].name;
        else if (!*at || FIELDS[i].several == LAST)
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

bool head_content_is(const struct head *h, const char *type)
{
    size_t n = strlen(type);
    return h->content_type && strncasecmp(h->content_type, type, n) == 0 &&
           strchr("; \t", h->content_type[n]);
}
