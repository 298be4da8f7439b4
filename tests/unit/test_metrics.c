#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>

#include "kernelhub/metrics.h"

static void a_counter_is_written_with_its_labels(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(10000);
    struct metric_counter *c =
        metric_counter_new("kernelhub_x_total", "Help \\ and\nmore", "language", "status");
    metric_counter_add(c, "python", "ok", 1);
    metric_counter_add(c, "python", "ok", 2);
    metric_counter_add(c, "a\"b\\c\nd", "error", 0.5);
    metric_counter_add(c, NULL, "ok", 1);
    metric_counter_write(c, &out);
    assert_string_equal(out.data,
                        "# HELP kernelhub_x_total Help \\\\ and\\nmore\n"
                        "# TYPE kernelhub_x_total counter\n"
                        "kernelhub_x_total{language=\"python\",status=\"ok\"} 3\n"
                        "kernelhub_x_total{language=\"a\\\"b\\\\c\\nd\",status=\"error\"} 0.5\n"
                        "kernelhub_x_total{language=\"\",status=\"ok\"} 1\n");
    metric_counter_free(c);
}

static void a_counter_without_labels_begins_at_zero(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(10000);
    struct metric_counter *c = metric_counter_new("x_total", "h", NULL, NULL);
    metric_counter_write(c, &out);
    assert_non_null(strstr(out.data, "\nx_total 0\n"));
    metric_counter_add(c, "ignored", NULL, 12345678901.0);
    buf_reset(&out);
    metric_counter_write(c, &out);
    assert_non_null(strstr(out.data, "\nx_total 12345678901\n"));
    metric_counter_free(c);
}

static void too_many_label_values_count_as_other(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(100000);
    struct metric_counter *c = metric_counter_new("x_total", "h", "who", NULL);
    for (int i = 0; i < 1000; i++) {
        char who[16];
        snprintf(who, sizeof who, "u%d", i);
        metric_counter_add(c, who, NULL, 1);
    }
    metric_counter_add(c, "u0", NULL, 1);
    metric_counter_write(c, &out);
    assert_non_null(strstr(out.data, "x_total{who=\"u0\"} 2\n"));
    assert_non_null(strstr(out.data, "x_total{who=\"other\"} 937\n"));
    metric_counter_free(c);
}

static void a_long_label_is_cut_between_characters(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(10000);
    struct metric_counter *c = metric_counter_new("x_total", "h", "who", NULL);
    char who[202];
    for (size_t i = 0; i < 200; i += 2)
        memcpy(who + i, "\xc3\xa4", 2);
    who[200] = '\0';
    metric_counter_add(c, who, NULL, 1);
    metric_counter_write(c, &out);
    assert_non_null(strstr(out.data, "\xc3\xa4\"} 1\n"));
    metric_counter_free(c);
}

static void a_histogram_is_cumulative_and_ends_with_infinity(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(10000);
    const double bounds[] = { 0.001, 0.5, 2 };
    struct metric_histogram *m = metric_histogram_new("x_seconds", "h", bounds, 3);
    metric_histogram_observe(m, 0.001); /* le: less or equal */
    metric_histogram_observe(m, 0.25);
    metric_histogram_observe(m, 0.25);
    metric_histogram_observe(m, 7);
    metric_histogram_write(m, &out);
    assert_string_equal(out.data,
                        "# HELP x_seconds h\n# TYPE x_seconds histogram\n"
                        "x_seconds_bucket{le=\"0.001\"} 1\nx_seconds_bucket{le=\"0.5\"} 3\n"
                        "x_seconds_bucket{le=\"2\"} 3\nx_seconds_bucket{le=\"+Inf\"} 4\n"
                        "x_seconds_sum 7.501\nx_seconds_count 4\n");
    metric_histogram_free(m);
    metric_histogram_free(NULL);
    metric_counter_free(NULL);
}

static void a_gauge_writes_what_is_no_number_too(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(10000);
    metric_gauge_write(&out, "g", "h", -1.5);
    metric_gauge_write(&out, "g", "h", NAN);
    metric_gauge_write(&out, "g", "h", -INFINITY);
    assert_string_equal(out.data,
                        "# HELP g h\n# TYPE g gauge\ng -1.5\n# HELP g h\n# TYPE g gauge\ng NaN\n"
                        "# HELP g h\n# TYPE g gauge\ng -Inf\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_counter_is_written_with_its_labels),
        cmocka_unit_test(a_counter_without_labels_begins_at_zero),
        cmocka_unit_test(too_many_label_values_count_as_other),
        cmocka_unit_test(a_long_label_is_cut_between_characters),
        cmocka_unit_test(a_histogram_is_cumulative_and_ends_with_infinity),
        cmocka_unit_test(a_gauge_writes_what_is_no_number_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
