/* file_item.h - a file of a workspace as the API shows it: {"name","path","type","size_bytes","modified_at"}. */
#ifndef WEB_FILE_ITEM_H
#define WEB_FILE_ITEM_H

#include "kernelhub/files.h"

/* type is file, directory or other (a link, pipe, socket: it can be deleted, nothing else); size_bytes null of all but files. A folder
 * that could not be looked into has "closed":true. */
void file_item_write(const char *path, const struct files_stat *st, bool is_closed, struct buf *out);

#endif
