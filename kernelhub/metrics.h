/* metrics.h - counters and histograms in Prometheus' text format (version 0.0.4). */
#ifndef KERNELHUB_METRICS_H
#define KERNELHUB_METRICS_H

#include "base/buf.h"

/* Counts by up to two labels; the number of label values is bounded (the rest counts as "other"). */
struct metric_counter;
/* The same for what goes up and down: add to it as it is, write it, free it. */
struct metric_counter *metric_gauge_new(const char *name, const char *help, const char *label_a, const char *label_b);
struct metric_counter *metric_counter_new(const char *name, const char *help, const char *label_a, const char *label_b);
void metric_counter_free(struct metric_counter *c);
void metric_counter_add(struct metric_counter *c, const char *a, const char *b, double n); /* NULL for a label not used */
void metric_counter_write(const struct metric_counter *c, struct buf *out);

/* A histogram of seconds (or of another unit) with bounds given at birth, ascending, count of them ≤ 24. */
struct metric_histogram;
struct metric_histogram *metric_histogram_new(const char *name, const char *help, const double *bounds, size_t n);
void metric_histogram_free(struct metric_histogram *m);
void metric_histogram_observe(struct metric_histogram *m, double value);
void metric_histogram_write(const struct metric_histogram *m, struct buf *out);

void metric_gauge_write(struct buf *out, const char *name, const char *help, double value);

#endif
