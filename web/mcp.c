#include "web/mcp.h"

#include <stdlib.h>

#include "web/mcp_fixtures.h"
#include "web/mcp_http.h"
#include "web/mcp_resources.h"
#include "web/mcp_session.h"
#include "web/mcp_task.h"

const struct mcp_server MCP_SERVER = { .name = "kernelhub",
                                       .title = "Kernelhub",
                                       .version = KH_VERSION };

struct mcp *mcp_new(struct site *site)
{
    struct mcp *m = calloc(1, sizeof *m);
    assert(m);
    *m = (struct mcp){ .site = site, .secret = uuid_new(), .sweep_timer = -1, .update_timer = -1 };
    m->parts[m->n_parts++] = &MCP_PRODUCT;
    if (config_flag(site->config, CONFIG_MCP_FIXTURES))
        m->parts[m->n_parts++] = &MCP_FIXTURES;
    m->counter = metric_counter_new("kernelhub_mcp_calls_total",
                                    "MCP requests that ended, by method and how.", "method", "end");
    m->calls = zlistx_new();
    m->peers = zlistx_new();
    m->subscriptions = zlistx_new();
    m->sessions = zhashx_new();
    m->streams = zhashx_new();
    hub_on_files_changed(site->hub, mcp_resources_on_change, site);
    return m;
}

static void digest(const char *a, const char *b, char ret[MCP_SIGNATURE_CHARS + 1])
{
    zdigest_t *sha1 = zdigest_new();
    assert(sha1);
    zdigest_update(sha1, (const byte *)a, strlen(a));
    zdigest_update(sha1, (const byte *)b, strlen(b));
    const char *text = zdigest_string(sha1);
    assert(strlen(text) == MCP_SIGNATURE_CHARS);
    memcpy(ret, text, MCP_SIGNATURE_CHARS + 1);
    zdigest_destroy(&sha1);
}

/* Twice, as HMAC: what is signed cannot be made longer without the secret. */
void mcp_sign(const struct mcp *m, const char *text, char ret[MCP_SIGNATURE_CHARS + 1])
{
    char inner[MCP_SIGNATURE_CHARS + 1];
    digest(m->secret.text, text, inner);
    digest(m->secret.text, inner, ret);
}

void mcp_write_metrics(const struct mcp *m, struct buf *out)
{
    metric_counter_write(m->counter, out);
    metric_gauge_write(out, "kernelhub_mcp_sessions", "MCP sessions of clients before 2026-07-28.",
                       (double)zhashx_size(m->sessions));
    metric_gauge_write(out, "kernelhub_mcp_calls", "MCP requests under way.",
                       (double)zlistx_size(m->calls));
}

void mcp_drain(struct mcp *m)
{
    size_t n = zlistx_size(m->calls);
    /* each is told once; what its telling ends is at the front no more */
    for (; n > 0 && zlistx_size(m->calls); n--) {
        struct mcp_task *t = zlistx_first(m->calls);
        zlistx_move_end(m->calls, t->place);
        mcp_task_dismiss(t);
    }
    mcp_sessions_drain(m);
    mcp_sse_drain(m);
}

void mcp_free(struct mcp *m)
{
    struct mcp_task *t;
    if (!m)
        return;
    struct loop *loop = hub_loop(m->site->hub);
    hub_on_files_changed(m->site->hub, NULL, NULL);
    mcp_sessions_free(m);
    while ((t = zlistx_first(m->calls)) != NULL)
        mcp_task_free(t);
    if (m->sweep_timer >= 0)
        loop_timer_end(loop, m->sweep_timer);
    if (m->update_timer >= 0)
        loop_timer_end(loop, m->update_timer);
    assert(zlistx_size(m->peers) == 0 && zlistx_size(m->subscriptions) == 0);
    metric_counter_free(m->counter);
    zlistx_destroy(&m->calls);
    zlistx_destroy(&m->peers);
    zlistx_destroy(&m->subscriptions);
    zhashx_destroy(&m->sessions);
    zhashx_destroy(&m->streams);
    free(m);
}
