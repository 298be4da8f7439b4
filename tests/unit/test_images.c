#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "sandbox/images.h"

/* {"py":{"logo-svg.svg":"xx…"}} with so many x. */
static char *logos(size_t n)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    buf_add_str(&out, "{\"py\":{\"logo-svg.svg\":\"");
    char *room = buf_room(&out, n);
    memset(room, 'x', n);
    out.len += n;
    buf_add_str(&out, "\"}}");
    return buf_take(&out);
}

static void add(struct images *list, const char *name, size_t n_logo)
{
    struct image *image = &list->image[list->n++];
    strcpy(image->template_name, name);
    image->kernelspecs = strdup("{\"py\":{\"argv\":[]}}");
    image->logos = n_logo ? logos(n_logo) : NULL;
}

static void encode(const struct images *list, size_t max_bytes, struct buf *out)
{
    buf_reset(out);
    buf_add_str(out, "{\"a\":0");
    images_encode(list, max_bytes, out);
    buf_add_char(out, '}');
    assert_true(json_valid(buf_slice(out)));
}

static size_t count(const struct buf *out, const char *part)
{
    size_t n = 0;
    for (const char *at = out->data; (at = strstr(at, part)); at++)
        n++;
    return n;
}

static void logos_never_take_the_place_of_kernelspecs(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    CLEANUP(images_free) struct images *list = calloc(1, sizeof *list);
    add(list, "a", 20000);
    add(list, "b", 10000);
    add(list, "c", 0);
    encode(list, 100000, &out);
    assert_int_equal(count(&out, "\"logo-svg.svg\""), 2);
    encode(list, 35000, &out);
    assert_int_equal(count(&out, "\"logo-svg.svg\""), 1);
    assert_int_equal(count(&out, "\"argv\""), 3);
    assert_true(out.len < 35000);
    encode(list, 1000, &out);
    assert_int_equal(count(&out, "\"logo-svg.svg\""), 0);
    assert_int_equal(count(&out, "\"argv\""), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(
        logos_never_take_the_place_of_kernelspecs) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
