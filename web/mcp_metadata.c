/* Where keys come from. Our own are given out by an administrator: then nothing is said, for a client that is told of an authorization server would try to
 * log in there. */
#include "base/json.h"
#include "web/mcp_http.h"
#include "web/reply.h"

#define SCOPES "code:execute files:read files:write"

static bool is_told(const struct site *site)
{
    return config_text(site->config, CONFIG_MCP_AUTHORIZATION)[0] != '\0';
}

/* A JSON list of the words of `text`. */
static void write_words(struct buf *out, const char *text)
{
    const char *before = "[";
    for (const char *at = text + strspn(text, " "); *at; at += strspn(at, " ")) {
        size_t n = strcspn(at, " ");
        buf_add_str(out, before);
        json_quote(out, slice_of(at, n));
        before = ",";
        at += n;
    }
    buf_add_char(out, ']');
}

void mcp_metadata(struct request *r)
{
    CLEANUP_BUF struct buf out = BUF_INIT(16384);
    struct err e = ERR_INIT;
    if (!is_told(r->site)) {
        (void)err_set(&e, ERR_NOT_FOUND,
                      "keys are given out by the administrator (mcp/authorization_servers)");
        reply_error(r, &e);
        return;
    }
    buf_add_str(&out, "{\"resource\":");
    json_quote_str(&out, config_text(r->site->config, CONFIG_MCP_RESOURCE));
    buf_add_str(&out, ",\"authorization_servers\":");
    write_words(&out, config_text(r->site->config, CONFIG_MCP_AUTHORIZATION));
    buf_add_str(&out, ",\"scopes_supported\":");
    write_words(&out, SCOPES);
    buf_add_str(&out, ",\"bearer_methods_supported\":[\"header\"]}");
    reply_buf(r, 200, &out);
    reply_header(r, "Access-Control-Allow-Origin", "*");
}

/* "https://H/mcp": the document's address has the path behind the well-known one. */
static void write_address(struct buf *out, const char *resource)
{
    const char *host = strstr(resource, "://");
    size_t n = host ? (size_t)(host + 3 - resource) : 0;
    n += strcspn(resource + n, "/");
    buf_add(out, resource, n);
    buf_addf(out, "/.well-known/oauth-protected-resource%s", resource + n);
}

bool mcp_metadata_challenge(const struct request *r, struct buf *out)
{
    if (!request_is_mcp(r) || !is_told(r->site))
        return false;
    buf_add_str(out, "Bearer resource_metadata=\"");
    write_address(out, config_text(r->site->config, CONFIG_MCP_RESOURCE));
    buf_add_str(out, "\", scope=\"" SCOPES "\"");
    if (r->head.authorization || r->head.api_key)
        buf_add_str(out, ", error=\"invalid_token\"");
    return !out->failed;
}
