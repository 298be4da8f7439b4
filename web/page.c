/* The hub writes short lists whole; limit and cursor cut them here. The cursor is the place of the
 * next item. */
#include "web/page.h"

#include "base/json.h"
#include "web/reply.h"
#include "web/request.h"

#define MAX_LIST_BYTES (4u * 1024 * 1024)
#define MAX_ITEMS      1000000

void page_reply(struct request *r, struct slice list)
{
    int64_t limit, cursor, i = 0;
    struct slice items;
    struct err e = ERR_INIT;
    if (query_number(&r->query, "limit", 1, MAX_ITEMS, MAX_ITEMS, &limit, &e) < 0 ||
        query_number(&r->query, "cursor", 0, MAX_ITEMS, 0, &cursor, &e) < 0) {
        reply_error(r, &e);
        return;
    }
    CLEANUP_BUF struct buf out = BUF_INIT(MAX_LIST_BYTES);
    struct json_iter it =
        json_iter(json_member(list, "items", &items) ? items : SLICE_LITERAL("[]"));
    buf_add_str(&out, "{\"items\":[");
    bool has_more = false;
    while (!has_more && json_next(&it)) {
        if (i >= cursor + limit) {
            has_more = true;
        } else if (i >= cursor) {
            buf_add_str(&out, i > cursor ? "," : "");
            buf_add_slice(&out, it.value);
        }
        i++;
    }
    if (has_more)
        buf_addf(&out, "],\"next\":\"%lld\"}", (long long)(cursor + limit));
    else
        buf_add_str(&out, "],\"next\":null}");
    reply_buf(r, 200, &out);
}
