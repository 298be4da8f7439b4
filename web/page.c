/* The hub writes short lists whole; limit and cursor cut them here. The cursor is the place of the
 * next item. */
#include "web/page.h"

#include "base/json.h"
#include "web/reply.h"
#include "web/request.h"

#define MAX_PAGE_BYTES (4u * 1024 * 1024) /* but for one item that is longer */
#define MAX_ITEMS      1000000

static void write_page(const struct buf *list, int64_t limit, int64_t cursor, struct buf *out)
{
    int64_t i = 0;
    struct slice items;
    struct json_iter it =
        json_iter(json_member(buf_slice(list), "items", &items) ? items : SLICE_LITERAL("[]"));
    bool has_more = false;
    buf_add_str(out, "{\"items\":[");
    while (!has_more && json_next(&it)) {
        bool is_full = i > cursor && out->len + it.value.len > MAX_PAGE_BYTES;
        has_more = i >= cursor + limit || is_full;
        if (i >= cursor && !has_more) {
            buf_add_str(out, i > cursor ? "," : "");
            buf_add_slice(out, it.value);
        }
        i += !has_more;
    }
    if (has_more)
        buf_addf(out, "],\"next\":\"%lld\"}", (long long)i);
    else
        buf_add_str(out, "],\"next\":null}");
}

void page_reply(struct request *r, const struct buf *list)
{
    int64_t limit, cursor;
    struct err e = ERR_INIT;
    if (list->failed)
        (void)err_set(&e, ERR_INTERNAL, "the list is above %zu bytes", list->max_bytes);
    if (e.code != ERR_NONE ||
        query_number(&r->query, "limit", 1, MAX_ITEMS, MAX_ITEMS, &limit, &e) < 0 ||
        query_number(&r->query, "cursor", 0, MAX_ITEMS, 0, &cursor, &e) < 0) {
        reply_error(r, &e);
        return;
    }
    CLEANUP_BUF struct buf out = BUF_INIT(list->max_bytes + 64); /* a part of it, and a cursor */
    write_page(list, limit, cursor, &out);
    reply_buf(r, 200, &out);
}
