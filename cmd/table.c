#include "cmd/table.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MAX_COLUMNS 12
#define MAX_BYTES   64

static void write_value(const json_t *value, char ret[MAX_BYTES])
{
    if (json_is_string(value))
        (void)snprintf(ret, MAX_BYTES, "%s", json_string_value(value));
    else if (json_is_integer(value))
        (void)snprintf(ret, MAX_BYTES, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        (void)snprintf(ret, MAX_BYTES, "%.3g", json_real_value(value));
    else if (json_is_boolean(value))
        (void)snprintf(ret, MAX_BYTES, "%s", json_is_true(value) ? "yes" : "no");
    else
        (void)snprintf(ret, MAX_BYTES, "-");
    for (char *c = ret; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = *c == '\n' ? ' ' : '.';
    for (size_t n = strlen(ret);
         n == MAX_BYTES - 1 && (ret[n - 1] & 0x80);) /* no half character at the cut */
        ret[--n] = '\0';
}

static size_t width_of(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += (*text & 0xc0) != 0x80;
    return n;
}

static void print_cell(const char *text, size_t width, bool last)
{
    (void)fputs(text, stdout);
    for (size_t n = width_of(text); !last && n < width + 2; n++)
        (void)putchar(' ');
    if (last)
        (void)putchar('\n');
}

void table_print(const json_t *items, const struct table_column *columns, size_t n)
{
    size_t widths[MAX_COLUMNS] = { 0 }, i;
    char text[MAX_BYTES];
    const json_t *item;

    if (json_array_size(items) == 0) {
        printf("none\n");
        return;
    }
    for (size_t c = 0; c < n && c < MAX_COLUMNS; c++) {
        widths[c] = strlen(columns[c].title);
        json_array_foreach((json_t *)items, i, item)
        { /* the macro only reads */
            write_value(json_object_get(item, columns[c].key), text);
            if (width_of(text) > widths[c])
                widths[c] = width_of(text);
        }
    }
    for (size_t c = 0; c < n && c < MAX_COLUMNS; c++)
        print_cell(columns[c].title, widths[c], c + 1 == n);
    json_array_foreach((json_t *)items, i, item)
    {
        for (size_t c = 0; c < n && c < MAX_COLUMNS; c++) {
            write_value(json_object_get(item, columns[c].key), text);
            print_cell(text, widths[c], c + 1 == n);
        }
    }
}

void table_print_json(const json_t *value)
{
    (void)json_dumpf(value, stdout, JSON_INDENT(2));
    (void)putchar('\n');
}
