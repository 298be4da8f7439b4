#include "web/docs.h"

#include <stdlib.h>

#include "web/reply.h"
#include "web/request.h"

#define MAX_PAGE_BYTES (4u * 1024 * 1024)

/* Made from docs/openapi.json by web/Makemodule.am. */
static const unsigned char OPENAPI[] = {
#include "web/openapi_bytes.inc"
};

static const char STYLE[] =
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 "
    "1em;color:#222;background:#fff}"
    "h2{margin-top:2em;border-bottom:1px solid #ccc}h3{margin:1.6em 0 .3em;font-size:1em}"
    "code,pre{font:14px/1.4 "
    "ui-monospace,monospace}pre{background:#f4f4f4;padding:.7em;overflow:auto}"
    "b.method{display:inline-block;min-width:4.5em;font:bold 14px "
    "ui-monospace,monospace;color:#06c}"
    "table{border-collapse:collapse;margin:.4em 0}td,th{padding:.15em .8em .15em "
    "0;text-align:left;vertical-align:top}"
    "th{font-weight:600;color:#555}p{margin:.3em 0}.quiet{color:#666}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#242424}"
    "h2{border-color:#444}"
    "b.method{color:#6bf}th,.quiet{color:#aaa}a{color:#8cf}}";

struct slice docs_openapi_text(void)
{
    return slice_of(OPENAPI, sizeof OPENAPI);
}

void docs_openapi(struct request *r)
{
    reply_static(r, "application/json", docs_openapi_text());
}

void docs_style(struct request *r)
{
    reply_static(r, "text/css; charset=utf-8", slice_str(STYLE));
}

void docs_page(struct request *r)
{
    if (!r->site->docs) {
        struct buf page = BUF_INIT(MAX_PAGE_BYTES);
        (void)docs_html_write(docs_openapi_text(), &page); /* our own file; a test reads it */
        r->site->docs = buf_take(&page);
        buf_done(&page);
    }
    reply_bytes(r, 200, "text/html; charset=utf-8", slice_str(r->site->docs));
    reply_header(r, "Content-Security-Policy",
                 "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
                 "frame-ancestors 'none'");
    reply_header(r, "Referrer-Policy", "no-referrer");
}

void docs_root(struct request *r)
{
    reply_bytes(r, 302, "text/plain; charset=utf-8",
                SLICE_LITERAL("Kernelhub. The API is described at /docs.\n"));
    reply_header(r, "Location",
                 "docs"); /* relative: also right below /t/TOKEN/ and behind a proxy */
}
