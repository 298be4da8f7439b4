/* site.h - what all requests of one server share. */
#ifndef WEB_SITE_H
#define WEB_SITE_H

#include "kernelhub/hub.h"
#include "kernelhub/metrics.h"

struct attempts;
struct mcp;
struct websockets;

struct site {
    struct hub *hub;
    const struct config *config;
    const char *address; /* what we are bound to, as configured */
    bool is_loopback;    /* bound to this machine only: Host headers are checked */
    bool is_draining;    /* the server stops: streams end, nothing waits any more */
    struct metric_counter *requests;
    struct metric_histogram *seconds;
    zlistx_t
        *runs; /* struct run: executions that somebody waits for, or that have to be interrupted */
    zlistx_t *batches; /* struct batch */
    zlistx_t *orphans; /* struct call of rest_stream.c: has to be interrupted once it is accepted */
    unsigned n_large;  /* requests with a large body */
    struct websockets *websockets; /* the server's */
    char *docs;                    /* the page at /docs, made when first asked for */
    struct mcp *mcp;               /* MCP's clients */
    struct attempts *attempts;     /* wrong keys at /login */
};

int site_init(struct site *site, struct hub *hub, struct err *e)
    __attribute__((warn_unused_result));
void site_done(struct site *site);

/* server/base_path without slashes at its end; empty when there is none. */
struct slice site_base(const struct site *site);

void site_write_metrics(const struct site *site, struct buf *out);

#endif
