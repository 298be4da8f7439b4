#include "kernelhub/metrics.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_SERIES      64 /* of one counter; the last is "other" */
#define MAX_LABEL_BYTES 64
#define MAX_BOUNDS      24

struct series {
    char a[MAX_LABEL_BYTES], b[MAX_LABEL_BYTES];
    double n;
};

struct metric_counter {
    char *name, *help, *label_a, *label_b;
    bool is_gauge;
    size_t n_series;
    struct series series[MAX_SERIES];
};

struct metric_histogram {
    char *name, *help;
    size_t n_bounds;
    double bounds[MAX_BOUNDS];
    uint64_t counts[MAX_BOUNDS + 1]; /* of each bucket alone; the last one is above all bounds */
    double sum;
};

static char *copy(const char *text)
{
    char *ret = text ? strdup(text) : NULL;
    assert(ret || !text);
    return ret;
}

struct metric_counter *metric_counter_new(const char *name, const char *help, const char *label_a,
                                          const char *label_b)
{
    struct metric_counter *c = calloc(1, sizeof *c);
    assert(c);
    assert(label_a || !label_b);
    c->name = copy(name);
    c->help = copy(help);
    c->label_a = copy(label_a);
    c->label_b = copy(label_b);
    return c;
}

struct metric_counter *metric_gauge_new(const char *name, const char *help, const char *label_a,
                                        const char *label_b)
{
    struct metric_counter *c = metric_counter_new(name, help, label_a, label_b);
    c->is_gauge = true;
    return c;
}

void metric_counter_free(struct metric_counter *c)
{
    if (!c)
        return;
    free(c->name);
    free(c->help);
    free(c->label_a);
    free(c->label_b);
    free(c);
}

/* Cut between characters, or the text would be no UTF-8. */
static void copy_label(char ret[MAX_LABEL_BYTES], const char *text)
{
    size_t n = text ? strlen(text) : 0;
    if (n >= MAX_LABEL_BYTES)
        for (n = MAX_LABEL_BYTES - 1; n && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
            ;
    if (n)
        memcpy(ret, text, n);
    ret[n] = '\0';
}

static struct series *find_series(struct metric_counter *c, const char *a, const char *b)
{
    struct series wanted = { "", "", 0 };
    copy_label(wanted.a, c->label_a ? a : NULL);
    copy_label(wanted.b, c->label_b ? b : NULL);
    for (size_t i = 0; i < c->n_series; i++)
        if (strcmp(c->series[i].a, wanted.a) == 0 && strcmp(c->series[i].b, wanted.b) == 0)
            return &c->series[i];
    if (c->n_series == MAX_SERIES)
        return &c->series[MAX_SERIES - 1];
    if (c->n_series == MAX_SERIES - 1) {
        copy_label(wanted.a, c->label_a ? "other" : NULL);
        copy_label(wanted.b, c->label_b ? "other" : NULL);
    }
    c->series[c->n_series] = wanted;
    return &c->series[c->n_series++];
}

void metric_counter_add(struct metric_counter *c, const char *a, const char *b, double n)
{
    find_series(c, a, b)->n += n;
}

/* Source: "Exposition formats", Text format details: backslash and newline are escaped, in label values also quotes. */
static void write_escaped(struct buf *out, const char *text, bool quotes)
{
    for (; *text; text++) {
        if (*text == '\n')
            buf_add_str(out, "\\n");
        else if (*text == '\\' || (quotes && *text == '"'))
            buf_addf(out, "\\%c", *text);
        else
            buf_add_char(out, *text);
    }
}

static void write_head(struct buf *out, const char *name, const char *help, const char *type)
{
    buf_addf(out, "# HELP %s ", name);
    write_escaped(out, help, false);
    buf_addf(out, "\n# TYPE %s %s\n", name, type);
}

static void write_value(struct buf *out, double value)
{
    if (isnan(value))
        buf_add_str(out, "NaN");
    else if (isinf(value))
        buf_add_str(out, value > 0 ? "+Inf" : "-Inf");
    else
        buf_addf(out, "%.15g", value);
}

static void write_label(struct buf *out, const char *before, const char *name, const char *value)
{
    if (!name)
        return;
    buf_addf(out, "%s%s=\"", before, name);
    write_escaped(out, value, true);
    buf_add_char(out, '"');
}

static void write_series(const struct metric_counter *c, const struct series *s, struct buf *out)
{
    buf_add_str(out, c->name);
    if (c->label_a) {
        write_label(out, "{", c->label_a, s->a);
        write_label(out, ",", c->label_b, s->b);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ' ');
    write_value(out, s->n);
    buf_add_char(out, '\n');
}

void metric_counter_write(const struct metric_counter *c, struct buf *out)
{
    static const struct series ZERO = { "", "", 0 };
    write_head(out, c->name, c->help, c->is_gauge ? "gauge" : "counter");
    if (!c->n_series && !c->label_a)
        write_series(c, &ZERO, out);
    for (size_t i = 0; i < c->n_series; i++)
        write_series(c, &c->series[i], out);
}

struct metric_histogram *metric_histogram_new(const char *name, const char *help,
                                              const double *bounds, size_t n)
{
    assert(n <= MAX_BOUNDS);
    struct metric_histogram *m = calloc(1, sizeof *m);
    assert(m);
    m->name = copy(name);
    m->help = copy(help);
    m->n_bounds = n;
    for (size_t i = 0; i < n; i++) {
        assert(i == 0 || bounds[i] > bounds[i - 1]);
        m->bounds[i] = bounds[i];
    }
    return m;
}

void metric_histogram_free(struct metric_histogram *m)
{
    if (!m)
        return;
    free(m->name);
    free(m->help);
    free(m);
}

void metric_histogram_observe(struct metric_histogram *m, double value)
{
    size_t i = 0;
    while (i < m->n_bounds && value > m->bounds[i])
        i++;
    m->counts[i]++;
    m->sum += value;
}

void metric_histogram_write(const struct metric_histogram *m, struct buf *out)
{
    uint64_t count = 0;
    write_head(out, m->name, m->help, "histogram");
    for (size_t i = 0; i <= m->n_bounds; i++) {
        count += m->counts[i];
        buf_addf(out, "%s_bucket{le=\"", m->name);
        write_value(out, i < m->n_bounds ? m->bounds[i] : INFINITY);
        buf_addf(out, "\"} %llu\n", (unsigned long long)count);
    }
    buf_addf(out, "%s_sum ", m->name);
    write_value(out, m->sum);
    buf_addf(out, "\n%s_count %llu\n", m->name, (unsigned long long)count);
}

void metric_gauge_write(struct buf *out, const char *name, const char *help, double value)
{
    write_head(out, name, help, "gauge");
    buf_addf(out, "%s ", name);
    write_value(out, value);
    buf_add_char(out, '\n');
}
