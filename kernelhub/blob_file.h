/* blob_file.h - the append-only files beside the database, one per feed, that hold what is too big for a row.
 *
 * blobs/FEED÷1000/FEED. Bytes are written before the row that names them; bytes without a row are waste, not damage. */
#ifndef KERNELHUB_BLOB_FILE_H
#define KERNELHUB_BLOB_FILE_H

#include <stdint.h>

#include "base/err.h"

/* Opens dir/blobs, made when absent. The caller closes ret_fd. */
int blob_file_open_dir(const char *dir, int *ret_fd, struct err *e);

/* Appends; on failure the file is as long as before. ret_offset: where the bytes begin. */
int blob_file_append(int dir_fd, int64_t feed, struct slice bytes, int64_t *ret_offset, struct err *e);

/* Reads exactly n bytes into ret. */
int blob_file_read(int dir_fd, int64_t feed, int64_t offset, size_t n, char *ret, struct err *e);

/* Cuts the file back to n bytes, after a commit that did not happen. */
void blob_file_truncate(int dir_fd, int64_t feed, int64_t n);

int64_t blob_file_remove(int dir_fd, int64_t feed); /* its size; 0 when there is none */
int64_t blob_file_total(int dir_fd);                /* bytes of all files; walks them */

#endif
