/* page.h - the part of a whole list that limit and cursor ask for. */
#ifndef WEB_PAGE_H
#define WEB_PAGE_H

#include "base/buf.h"

struct request;

/* `list` is {"items":[…],…} as the hub writes it, whole. Less than `limit` where that were too long for one reply. */
void page_reply(struct request *r, const struct buf *list);

#endif
