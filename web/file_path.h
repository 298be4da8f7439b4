/* file_path.h - a file of a workspace in a URL: percent-encoded, "/" between names. */
#ifndef WEB_FILE_PATH_H
#define WEB_FILE_PATH_H

#include "kernelhub/files_path.h"

/* What stands for "{path...}" as a path of the disk. ERR_INVALID. */
int file_path_read(struct slice raw, char ret[FILES_MAX_PATH + 1], struct err *e);

/* Appends a path of the disk, or a name, as it stands in a URL (RFC 3986: unreserved characters and '/' as they are). */
void file_path_write(const char *path, struct buf *out);

#endif
