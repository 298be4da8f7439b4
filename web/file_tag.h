/* file_tag.h - the ETag of a file, and what a client's conditions say of it (RFC 9110, 8.8.3 and 13.1). */
#ifndef WEB_FILE_TAG_H
#define WEB_FILE_TAG_H

#include "kernelhub/files.h"

#define FILE_TAG_BYTES 80

struct head;

/* Another file, length or time of change is another tag. */
void file_tag_write(const struct files_stat *st, char ret[FILE_TAG_BYTES]);

/* Whether a list of tags ("a", W/"b", or *) names it. weak: W/ is no difference. */
bool file_tag_listed(const char *list, const char *tag, bool weak);

/* If-Match and If-None-Match of a request, kept for a worker's thread. */
struct file_condition {
    char *if_match, *if_none_match; /* NULL: not given */
};
void file_condition_read(struct file_condition *c, const struct head *h);
void file_condition_done(struct file_condition *c);
/* A files_guard_fn, its argument is the condition: ERR_PRECONDITION. */
int file_condition_check(const void *condition, const struct files_stat *there, struct err *e);

#endif
