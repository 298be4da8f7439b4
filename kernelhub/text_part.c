/* grep ─► select ─► out. What is selected is one of three:
 *
 *     bytes   out holds [base, offset + limit + 4): what is cut off at both ends for whole characters
 *     head    out grows until it has the lines
 *     tail    out holds the newest bytes, at most twice what may be answered; the lines are counted at the end */
#include "kernelhub/text_part.h"

#include <assert.h>
#include <stdlib.h>

#define MAX_CHARACTER 4 /* bytes of UTF-8 */

struct text_part {
    int64_t offset, limit, head, tail;
    char *grep; /* NULL: every line */
    size_t grep_len;
    struct buf line; /* of grep: the beginning of a line */
    struct buf out;
    int64_t seen;      /* bytes selected from so far */
    int64_t lines;     /* of head: how many it has */
    size_t first, end; /* of the answer, in out */
    bool is_enough, is_cut, dropped;
};

struct text_part *text_part_new(const struct output_part *wanted)
{
    struct text_part *p = calloc(1, sizeof *p);
    assert(p);
    p->offset = wanted->offset;
    p->limit = wanted->limit > 0 && wanted->limit < OUTPUT_PART_MAX_BYTES ? wanted->limit
                                                                          : OUTPUT_PART_MAX_BYTES;
    p->head = wanted->head;
    p->tail = wanted->tail;
    p->grep = wanted->grep ? strdup(wanted->grep) : NULL;
    p->grep_len = p->grep ? strlen(p->grep) : 0;
    buf_init(&p->line, TEXT_PART_LINE_BYTES + 1);
    buf_init(&p->out, 4 * (size_t)OUTPUT_PART_MAX_BYTES);
    return p;
}

void text_part_free(struct text_part *p)
{
    if (!p)
        return;
    free(p->grep);
    buf_done(&p->line);
    buf_done(&p->out);
    free(p);
}

static bool is_inside(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* ---- the three ways to select ---- */

static int64_t base_of(const struct text_part *p)
{
    return p->offset > MAX_CHARACTER ? p->offset - MAX_CHARACTER : 0;
}

static void select_bytes(struct text_part *p, struct slice text)
{
    int64_t first = base_of(p) - p->seen, end = p->offset + p->limit + MAX_CHARACTER - p->seen;
    int64_t len = (int64_t)text.len;
    first = first < 0 ? 0 : first > len ? len : first;
    end = end > len ? len : end;
    if (end > first)
        buf_add(&p->out, text.data + first, (size_t)(end - first));
    p->seen += len;
    p->is_enough = p->seen >= p->offset + p->limit + MAX_CHARACTER;
}

static void select_head(struct text_part *p, struct slice text)
{
    size_t n = 0;
    while (n < text.len && p->lines < p->head) {
        const char *newline = memchr(text.data + n, '\n', text.len - n);
        p->lines += newline != NULL;
        n = newline ? (size_t)(newline - text.data) + 1 : text.len;
    }
    size_t room = OUTPUT_PART_MAX_BYTES - p->out.len;
    p->is_cut = n > room;
    n = p->is_cut ? room : n;
    buf_add(&p->out, text.data, n);
    p->is_enough = p->is_cut || p->lines == p->head;
}

static void select_tail(struct text_part *p, struct slice text)
{
    const size_t max = OUTPUT_PART_MAX_BYTES;
    while (text.len) {
        size_t n = text.len < max ? text.len : max;
        buf_add(&p->out, text.data, n);
        text = slice_of(text.data + n, text.len - n);
        if (p->out.len > 2 * max) {
            p->dropped = true;
            buf_drop(&p->out, p->out.len - max);
        }
    }
}

static void choose(struct text_part *p, struct slice text)
{
    if (p->is_enough || text.len == 0)
        return;
    if (p->head)
        select_head(p, text);
    else if (p->tail)
        select_tail(p, text);
    else
        select_bytes(p, text);
}

/* ---- grep ---- */

static void end_line(struct text_part *p)
{
    if (p->line.len && memmem(p->line.data, p->line.len, p->grep, p->grep_len))
        choose(p, buf_slice(&p->line));
    buf_reset(&p->line);
}

static void take_lines(struct text_part *p, struct slice text)
{
    while (text.len && !p->is_enough) {
        size_t room = TEXT_PART_LINE_BYTES - p->line.len;
        size_t n = text.len < room ? text.len : room;
        const char *newline = memchr(text.data, '\n', n);
        n = newline ? (size_t)(newline - text.data) + 1 : n;
        buf_add(&p->line, text.data, n);
        text = slice_of(text.data + n, text.len - n);
        if (newline || p->line.len == TEXT_PART_LINE_BYTES)
            end_line(p);
    }
}

bool text_part_add(struct text_part *p, struct slice text)
{
    if (p->grep)
        take_lines(p, text);
    else
        choose(p, text);
    return !p->is_enough;
}

/* ---- the end ---- */

static void end_bytes(struct text_part *p)
{
    int64_t base = base_of(p), have = (int64_t)p->out.len;
    int64_t first = p->offset - base, end = first + p->limit;
    const char *d = p->out.data;
    first = first > have ? have : first;
    end = end > have ? have : end;
    while (first > 0 && first < have && is_inside(d[first]))
        first--;
    while (end > first && end < have && is_inside(d[end]))
        end--;
    if (end == first) /* a character is longer than the limit */
        for (end += end < have; end < have && is_inside(d[end]);)
            end++;
    p->first = (size_t)first;
    p->end = (size_t)end;
}

static void end_tail(struct text_part *p)
{
    const size_t max = OUTPUT_PART_MAX_BYTES;
    size_t first = p->out.len;
    for (int64_t lines = 0; first > 0; first--)
        if (p->out.data[first - 1] == '\n' && first < p->out.len && ++lines == p->tail)
            break;
    p->is_cut = (first == 0 && p->dropped) || p->out.len - first > max;
    if (p->out.len - first > max)
        first = p->out.len - max;
    while (p->is_cut && first < p->out.len && is_inside(p->out.data[first]))
        first++;
    p->first = first;
    p->end = p->out.len;
}

static void end_head(struct text_part *p)
{
    p->end = p->out.len;
    if (p->is_cut) /* the last character may not be whole */
        for (size_t n = 0; n < MAX_CHARACTER && p->end > 0; n++)
            if (!is_inside(p->out.data[--p->end]))
                break;
}

void text_part_end(struct text_part *p)
{
    if (p->grep && !p->is_enough)
        end_line(p);
    if (p->head)
        end_head(p);
    else if (p->tail)
        end_tail(p);
    else
        end_bytes(p);
}

struct slice text_part_text(const struct text_part *p)
{
    return slice_of(p->out.data ? p->out.data + p->first : NULL, p->end - p->first);
}

int64_t text_part_next_offset(const struct text_part *p)
{
    return p->head || p->tail || p->end >= p->out.len ? -1 : base_of(p) + (int64_t)p->end;
}

bool text_part_is_cut(const struct text_part *p)
{
    return p->is_cut;
}
