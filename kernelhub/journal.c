#include "kernelhub/journal.h"

#include <czmq.h>
#include <stdlib.h>

#include "base/json.h"
#include "protocol/jupyter_message.h"

struct line {
    int64_t unix_us;
    const char *event;
    size_t len;
    char text[];
};

struct journal {
    zlistx_t *lines; /* struct line, owned, oldest first */
    uint64_t dropped;
};

static void line_free(void **p)
{
    free(*p);
    *p = NULL;
}

struct journal *journal_new(void)
{
    struct journal *j = calloc(1, sizeof *j);
    if (!j)
        abort();
    j->lines = zlistx_new();
    zlistx_set_destructor(j->lines, line_free);
    return j;
}

void journal_free(struct journal *j)
{
    if (!j)
        return;
    zlistx_destroy(&j->lines);
    free(j);
}

/* The end of it, beginning with a whole character. */
static struct slice tail_of(struct slice text)
{
    if (text.len <= JOURNAL_MAX_LINE_BYTES)
        return text;
    size_t at = text.len - JOURNAL_MAX_LINE_BYTES;
    while (at < text.len && ((unsigned char)text.data[at] & 0xc0) == 0x80)
        at++;
    return slice_of(text.data + at, text.len - at);
}

void journal_add(struct journal *j, int64_t unix_us, const char *event, struct slice text)
{
    struct slice kept = tail_of(text);
    struct line *line = malloc(sizeof *line + kept.len);
    if (!line)
        abort();
    *line = (struct line){ .unix_us = unix_us, .event = event, .len = kept.len };
    if (kept.len)
        memcpy(line->text, kept.data, kept.len);
    if (zlistx_size(j->lines) >= JOURNAL_MAX_LINES) {
        (void)zlistx_delete(j->lines, NULL); /* the first */
        j->dropped++;
    }
    zlistx_add_end(j->lines, line);
}

void journal_write(const struct journal *j, size_t tail, struct buf *out)
{
    size_t n = zlistx_size(j->lines), skip = n > tail ? n - tail : 0;
    const char *comma = "";
    buf_add_str(out, "{\"items\":[");
    for (const struct line *l = zlistx_first(j->lines); l; l = zlistx_next(j->lines)) {
        char ts[28];
        if (skip) {
            skip--;
            continue;
        }
        jupyter_format_time(l->unix_us, ts);
        buf_addf(out, "%s{\"ts\":\"%s\",\"event\":\"%s\",\"text\":", comma, ts, l->event);
        json_quote(out, slice_of(l->text, l->len));
        buf_add_char(out, '}');
        comma = ",";
    }
    buf_addf(out, "],\"dropped\":%llu}", (unsigned long long)j->dropped);
}
