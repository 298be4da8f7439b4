/* grep ─► count ─► select ─► out. What is selected is one of three:
 *
 *     bytes   out holds [base, offset + limit + 4): what is cut off at both ends for whole characters
 *     head    out grows until it has the lines, or limit + 4 bytes
 *     tail    out holds the newest bytes, at most twice what may be answered; the lines are counted at the end */
#include "kernelhub/text_part.h"

#include <assert.h>
#include <stdlib.h>

#define MAX_CHARACTER 4 /* bytes of UTF-8 */

struct text_part {
    int64_t offset, limit, head, tail;
    char *grep; /* NULL: every line */
    size_t grep_len;
    bool ignore_case, wants_total;
    struct buf line;  /* of grep: the beginning of a line */
    struct buf lower; /* the line as grep looks at it, when case does not count */
    struct buf out;
    int64_t bytes, lines;   /* that grep left so far; without a last line that has no newline */
    bool ends_in_line;      /* and there is one */
    int64_t head_lines;     /* of head: how many it has */
    size_t first, end;      /* of the answer, in out */
    bool is_enough, is_cut; /* enough: it is known that more follows */
    bool dropped;
};

static void lower(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] >= 'A' && text[i] <= 'Z')
            text[i] |= 32;
}

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
    p->ignore_case = wanted->ignore_case;
    p->wants_total = wanted->wants_total;
    if (p->ignore_case && p->grep)
        lower(p->grep, p->grep_len);
    buf_init(&p->line, TEXT_PART_LINE_BYTES + 1);
    buf_init(&p->lower, TEXT_PART_LINE_BYTES + 1);
    buf_init(&p->out, 4 * (size_t)OUTPUT_PART_MAX_BYTES);
    return p;
}

void text_part_free(struct text_part *p)
{
    if (!p)
        return;
    free(p->grep);
    buf_done(&p->line);
    buf_done(&p->lower);
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
    int64_t first = base_of(p) - p->bytes, end = p->offset + p->limit + MAX_CHARACTER - p->bytes;
    int64_t len = (int64_t)text.len;
    p->is_enough = len >= end;
    first = first < 0 ? 0 : first > len ? len : first;
    end = end > len ? len : end;
    if (end > first)
        buf_add(&p->out, text.data + first, (size_t)(end - first));
}

static void select_head(struct text_part *p, struct slice text)
{
    size_t n = 0, room = (size_t)p->limit + MAX_CHARACTER - p->out.len;
    while (n < text.len && p->head_lines < p->head) {
        const char *newline = memchr(text.data + n, '\n', text.len - n);
        p->head_lines += newline != NULL;
        n = newline ? (size_t)(newline - text.data) + 1 : text.len;
    }
    p->is_enough = n < text.len || n > room;
    buf_add(&p->out, text.data, n < room ? n : room);
}

/* One byte more than may be answered: a newline there says that what follows is whole lines. */
static void select_tail(struct text_part *p, struct slice text)
{
    const size_t keep = (size_t)p->limit + 1;
    if (text.len > keep) {
        p->dropped = true;
        buf_reset(&p->out);
        text = slice_of(text.data + text.len - keep, keep);
    }
    buf_add_slice(&p->out, text);
    if (p->out.len > 2 * keep) {
        p->dropped = true;
        buf_drop(&p->out, p->out.len - keep);
    }
}

static void count(struct text_part *p, struct slice text)
{
    p->bytes += (int64_t)text.len;
    p->ends_in_line = text.data[text.len - 1] != '\n';
    for (const char *at = text.data, *end = at + text.len;
         at < end && (at = memchr(at, '\n', (size_t)(end - at))); at++)
        p->lines++;
}

static void choose(struct text_part *p, struct slice text)
{
    if (text.len == 0)
        return;
    if (p->is_enough) /* only the totals are still wanted */
        ;
    else if (p->head)
        select_head(p, text);
    else if (p->tail)
        select_tail(p, text);
    else
        select_bytes(p, text);
    count(p, text);
}

/* ---- grep ---- */

/* More text would change nothing. */
static bool is_done(const struct text_part *p)
{
    return p->is_enough && !p->wants_total;
}

static bool holds(struct text_part *p)
{
    struct slice line = buf_slice(&p->line);
    if (p->ignore_case) {
        buf_reset(&p->lower);
        buf_add_slice(&p->lower, line);
        lower(p->lower.data, p->lower.len);
        line = buf_slice(&p->lower);
    }
    return memmem(line.data, line.len, p->grep, p->grep_len);
}

static void end_line(struct text_part *p)
{
    if (p->line.len && holds(p))
        choose(p, buf_slice(&p->line));
    buf_reset(&p->line);
}

static void take_lines(struct text_part *p, struct slice text)
{
    while (text.len && !is_done(p)) {
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
    return !is_done(p);
}

/* ---- the end ---- */

/* Where a part that begins at `first` ends, when it may go to `max`: at a character's end, and one is in it. */
static size_t whole(const struct text_part *p, size_t first, size_t max)
{
    const char *d = p->out.data;
    size_t have = p->out.len, end = max < have ? max : have;
    while (end > first && end < have && is_inside(d[end]))
        end--;
    if (end == first)
        for (end += end < have; end < have && is_inside(d[end]);)
            end++;
    return end;
}

static void end_bytes(struct text_part *p)
{
    int64_t have = (int64_t)p->out.len, from = p->offset - base_of(p);
    size_t first = (size_t)(from < have ? from : have);
    while (first > 0 && first < p->out.len && is_inside(p->out.data[first]))
        first--;
    p->end = whole(p, first, (size_t)(from + p->limit < have ? from + p->limit : have));
    p->first = first;
}

static void end_tail(struct text_part *p)
{
    const size_t max = (size_t)p->limit;
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

void text_part_end(struct text_part *p)
{
    if (p->grep && !is_done(p))
        end_line(p);
    if (p->tail) {
        end_tail(p);
    } else if (p->head) {
        p->end = whole(p, 0, (size_t)p->limit);
        p->is_cut = p->end < p->out.len;
    } else {
        end_bytes(p);
    }
}

struct output_found text_part_found(const struct text_part *p)
{
    int64_t base = p->tail ? p->bytes - (int64_t)p->out.len : base_of(p);
    int64_t offset = p->end > p->first ? base + (int64_t)p->first : p->offset;
    bool is_all = !is_done(p), more = !p->tail && (p->is_enough || p->end < p->out.len);
    return (struct output_found){
        .text = slice_of(p->out.data ? p->out.data + p->first : NULL, p->end - p->first),
        .offset = offset < p->bytes ? offset : p->bytes,
        .next_offset = more ? base + (int64_t)p->end : -1,
        .bytes = is_all ? p->bytes : -1,
        .lines = is_all ? p->lines + p->ends_in_line : -1,
        .cut = p->is_cut,
    };
}
