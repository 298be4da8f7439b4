#include "web/site.h"

#include "base/cleanup.h"
#include "web/attempts.h"
#include "web/mcp.h"
#include "web/origin.h"
#include "web/websocket.h"

/* Seconds; the fine end is where our own promise lies, the coarse end is other people's code. */
static const double BOUNDS[] = { 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1,
                                 0.2,    0.5,    1,     2,     5,     10,   30,   60,   300 };

static int check_mcp(const struct site *site, struct err *e)
{
    if (config_flag(site->config, CONFIG_MCP_FIXTURES) && !site->is_loopback)
        return err_set(e, ERR_INVALID, "mcp/fixtures is only for a loopback address, not %s",
                       site->address);
    if (config_text(site->config, CONFIG_MCP_AUTHORIZATION)[0] &&
        !config_text(site->config, CONFIG_MCP_RESOURCE)[0])
        return err_set(e, ERR_INVALID,
                       "mcp/authorization_servers needs mcp/resource: the address they know us by");
    return 0;
}

int site_init(struct site *site, struct hub *hub, struct err *e)
{
    const struct config *config = hub_config(hub);
    const char *address = config_text(config, CONFIG_SERVER_ADDRESS);
    *site = (struct site){
        .hub = hub, .config = config, .address = address, .is_loopback = origin_is_loopback(address)
    };
    if (!site->is_loopback && strcmp(config_text(config, CONFIG_SERVER_AUTH), "none") == 0)
        return err_set(e, ERR_INVALID, "server/auth none is only for a loopback address, not %s",
                       address);
    if (check_mcp(site, e) < 0)
        return -1;
    site->requests = metric_counter_new("kernelhub_http_requests_total",
                                        "HTTP requests by route and status.", "route", "status");
    site->seconds = metric_histogram_new(
        "kernelhub_http_request_seconds",
        "Seconds from a request's first line to its reply's last byte.", BOUNDS, ARRAY_LEN(BOUNDS));
    site->runs = zlistx_new();
    site->batches = zlistx_new();
    site->orphans = zlistx_new();
    site->attempts = attempts_new();
    site->mcp = mcp_new(site);
    return 0;
}

void site_done(struct site *site)
{
    metric_counter_free(site->requests);
    metric_histogram_free(site->seconds);
    zlistx_destroy(&site->runs);
    zlistx_destroy(&site->batches);
    zlistx_destroy(&site->orphans);
    free(site->docs);
    attempts_free(site->attempts);
    *site = (struct site){ .hub = NULL };
}

struct slice site_base(const struct site *site)
{
    struct slice base = slice_str(config_text(site->config, CONFIG_SERVER_BASE_PATH));
    while (base.len && base.data[base.len - 1] == '/')
        base.len--;
    return base;
}

void site_write_metrics(const struct site *site, struct buf *out)
{
    metric_counter_write(site->requests, out);
    metric_histogram_write(site->seconds, out);
    websockets_write_metrics(site->websockets, out);
    mcp_write_metrics(site->mcp, out);
}
