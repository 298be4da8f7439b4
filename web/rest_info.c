/* What is here and how it does: languages, images, health, metrics. */
#include "base/json.h"
#include "web/page.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/rest.h"

#define MAX_LIST_BYTES (4u * 1024 * 1024)

void rest_languages(struct request *r)
{
    CLEANUP_BUF struct buf list = BUF_INIT(MAX_LIST_BYTES);
    hub_write_languages(r->site->hub, r->user, &list);
    page_reply(r, &list);
}

void rest_images(struct request *r)
{
    CLEANUP_BUF struct buf list = BUF_INIT(MAX_LIST_BYTES);
    hub_write_images(r->site->hub, r->user, &list);
    page_reply(r, &list);
}

/* An image's "template" is its name here. */
void rest_templates(struct request *r)
{
    CLEANUP_BUF struct buf images = BUF_INIT(MAX_LIST_BYTES), list = BUF_INIT(MAX_LIST_BYTES);
    struct slice items, name, image;
    const char *comma = "";
    hub_write_images(r->site->hub, r->user, &images);
    struct json_iter it =
        json_iter(json_member(buf_slice(&images), "items", &items) ? items : SLICE_LITERAL("[]"));
    buf_add_str(&list, "{\"items\":[");
    while (json_next(&it)) {
        if (!json_member(it.value, "template", &name) || !json_member(it.value, "image", &image))
            continue;
        buf_addf(&list, "%s{\"name\":%.*s,\"image\":%.*s}", comma, (int)name.len, name.data,
                 (int)image.len, image.data);
        comma = ",";
    }
    buf_add_str(&list, "]}");
    page_reply(r, &list);
}

static void reply_health(struct request *r, bool must_accept)
{
    CLEANUP_BUF struct buf json = BUF_INIT(65536);
    bool is_healthy = false;
    hub_write_health(r->site->hub, &json, &is_healthy);
    bool is_good = is_healthy && !(must_accept && r->site->is_draining);
    reply_buf(r, is_good ? 200 : 503, &json);
}

void rest_health(struct request *r)
{
    reply_health(r, false);
}

void rest_health_ready(struct request *r)
{
    reply_health(r, true);
}

/* That we answer is all there is to say: a probe that asks for more restarts us for somebody else's
 * fault. */
void rest_health_live(struct request *r)
{
    reply_json(r, 200, SLICE_LITERAL("{\"status\":\"live\"}"));
}

void rest_metrics(struct request *r)
{
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_LIST_BYTES);
    hub_write_metrics(r->site->hub, &text);
    site_write_metrics(r->site, &text);
    reply_bytes(r, 200, "text/plain; version=0.0.4; charset=utf-8", buf_slice(&text));
}
