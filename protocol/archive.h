/* archive.h - a tar or zip file, written as it goes: nothing is gone back to, and memory does not grow with what is in it.
 *
 *     archive_new ──► begin, add …, end ──► begin … ──► (zip: archive_directory, if it was taken out) ──► finish
 *
 * tar: POSIX ustar, with a pax header where a path, a size or a time does not fit. zip: deflated, sizes behind the data, zip64 where
 * it is needed. */
#ifndef PROTOCOL_ARCHIVE_H
#define PROTOCOL_ARCHIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum archive_kind { ARCHIVE_TAR, ARCHIVE_ZIP };

struct archive_entry {
    struct slice path; /* with slashes, none at either end; below 65000 bytes. zip: UTF-8 */
    bool is_folder;
    unsigned mode; /* nine bits */
    int64_t modified_s;
    uint64_t bytes; /* of a file: tar has to know, zip has at most so many */
};

struct archive;

struct archive *archive_new(enum archive_kind kind);
void archive_free(struct archive *a); /* NULL is fine */
DEFINE_CLEANUP(struct archive, archive_free)

/* Each appends to `out` what comes next of the file. out's ceiling has to be above all of it: about 3 times the path, or the bytes
 * that are added, and some hundred. */
void archive_begin(struct archive *a, const struct archive_entry *entry, struct buf *out);
/* The next bytes of the file that was begun; more than were said are left out. */
void archive_add(struct archive *a, struct slice bytes, struct buf *out);
/* No more come. True when so many were added as were said; else a tar is filled up with zeros: call until *ret_is_over. */
bool archive_end(struct archive *a, struct buf *out, bool *ret_is_over);

/* zip: what has to stand at its end, a few dozen bytes and the path for each entry. It grows: the caller may take from it, to put all
 * that to `out` himself, in that order, before archive_finish. What is still in there, archive_finish puts. */
struct buf *archive_directory(struct archive *a);
void archive_finish(struct archive *a, struct buf *out);

#endif
