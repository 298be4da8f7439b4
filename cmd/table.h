/* table.h - a list from the service as lines for a person, one object a line. */
#ifndef CMD_TABLE_H
#define CMD_TABLE_H

#include <jansson.h>
#include <stddef.h>

struct table_column {
    const char *title;
    const char *key;
};

/* Prints title and items; control characters become '.', long values are cut. "none" when empty. */
void table_print(const json_t *items, const struct table_column *columns, size_t n);

/* For --json: the whole value and a newline. */
void table_print_json(const json_t *value);

#endif
