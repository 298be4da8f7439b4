/* page.h - the part of a whole list that limit and cursor ask for. */
#ifndef WEB_PAGE_H
#define WEB_PAGE_H

#include "base/slice.h"

struct request;

/* `list` is {"items":[…],…} as the hub writes it, whole. */
void page_reply(struct request *r, struct slice list);

#endif
