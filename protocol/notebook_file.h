/* notebook_file.h - a notebook's two shapes: as files keep it, and as Jupyter Server's clients get it.
 *
 * In a file texts of several lines are lists of lines, names are sorted and each stands on a line of its own, indented by one
 * blank, so that a difference of two notebooks can be read. Clients get each text as one string. Source: nbformat 4 (v4/rwbase.py,
 * v4/nbjson.py), https://nbformat.readthedocs.io.
 *
 * Numbers and unknown members stay as they are. What a cell says of its own trust is dropped in both directions: a file is a
 * stranger's; clients get `trusted: false` for each code cell. */
#ifndef PROTOCOL_NOTEBOOK_FILE_H
#define PROTOCOL_NOTEBOOK_FILE_H

#include "base/buf.h"
#include "base/slice.h"

/* A notebook that was just made, as a client sends it. */
#define NOTEBOOK_FILE_NEW "{\"cells\":[],\"metadata\":{},\"nbformat\":4,\"nbformat_minor\":5}"

/* False: it is no notebook of nbformat 4, and `why` has one line about the first thing that is wrong. It can be read and written
 * nevertheless. `json` is an object that json_valid has passed. */
bool notebook_file_check(struct slice json, struct buf *why);

/* Both append the other shape of what json_valid has passed. */
void notebook_file_read(struct slice json, struct buf *out);  /* for clients: one line */
void notebook_file_write(struct slice json, struct buf *out); /* for a file: ends with a line end */

#endif
