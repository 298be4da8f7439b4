/* docs.h - what the service says about itself: docs/openapi.json, and the page made of it. */
#ifndef WEB_DOCS_H
#define WEB_DOCS_H

#include "base/buf.h"

struct request;

void docs_openapi(struct request *r); /* the file as it is */
void docs_page(struct request *r);    /* made once, when first asked for */
void docs_style(struct request *r);
void docs_root(struct request *r);

struct slice docs_openapi_text(void);

/* docs_html.c: appends the page. False when the text is no OpenAPI document. */
bool docs_html_write(struct slice openapi, struct buf *out);

#endif
