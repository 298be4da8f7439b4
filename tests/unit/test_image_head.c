#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "protocol/image_head.h"

#define PNG_640x480 "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x02\x80\0\0\x01\xe0"
#define JPEG_APP0                                                                                  \
    "\xff\xe0\0\x06"                                                                               \
    "JFIF"
#define JPEG_SOF "\0\x11\x08\x01\xe0\x02\x80"
#define WEBP     "RIFF\x24\0\0\0WEBP"

static const struct {
    struct slice bytes;
    enum image_kind kind;
    uint32_t width, height;
} IMAGES[] = {
    { SLICE_LITERAL(PNG_640x480), IMAGE_PNG, 640, 480 },
    { SLICE_LITERAL("\xff\xd8" JPEG_APP0 "\xff\xc0" JPEG_SOF), IMAGE_JPEG, 640, 480 },
    { SLICE_LITERAL("\xff\xd8\xff\xff\xff\xfe\0\x03x\xff\xd0\xff\xc2" JPEG_SOF), IMAGE_JPEG, 640,
      480 },
    { SLICE_LITERAL("GIF89a\x03\0\x05\x01"), IMAGE_GIF, 3, 261 },
    { SLICE_LITERAL("GIF87a\xff\xff\x01\0"), IMAGE_GIF, 65535, 1 },
    { SLICE_LITERAL(WEBP "VP8X\x0a\0\0\0\0\0\0\0\x7f\x02\0\xdf\x01\0"), IMAGE_WEBP, 640, 480 },
    { SLICE_LITERAL(WEBP "VP8L\x18\0\0\0\x2f\x7f\xc2\x77\0\0\0\0\0\0"), IMAGE_WEBP, 640, 480 },
    { SLICE_LITERAL(WEBP "VP8 \x18\0\0\0\0\0\0\x9d\x01\x2a\x80\x02\xe0\x01"), IMAGE_WEBP, 640,
      480 },
};

static void each_kind_says_its_sides(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(IMAGES); i++) {
        struct image_head head = { .width = 0 };
        assert_true(image_head_read(IMAGES[i].bytes, &head));
        assert_int_equal(head.kind, IMAGES[i].kind);
        assert_int_equal(head.width, IMAGES[i].width);
        assert_int_equal(head.height, IMAGES[i].height);
    }
}

static void a_head_that_is_cut_is_none(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(IMAGES); i++) {
        struct image_head head;
        for (size_t n = 0; n < IMAGES[i].bytes.len; n++)
            assert_false(image_head_read(slice_of(IMAGES[i].bytes.data, n), &head));
    }
}

static void what_is_no_image_is_none(void **state)
{
    static const struct slice BAD[] = {
        SLICE_LITERAL(""),
        SLICE_LITERAL("<svg xmlns='http://www.w3.org/2000/svg'/>"),
        SLICE_LITERAL("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\0\0\0\x01\xe0"), /* no width */
        SLICE_LITERAL(
            "\x89PNG\r\n\x1a\n\0\0\0\x0cIDAT\0\0\x02\x80\0\0\x01\xe0"), /* another chunk first */
        SLICE_LITERAL("\xff\xd8\xff\xd9\0\0\0\0\0\0\0\0"),              /* ends before a frame */
        SLICE_LITERAL("\xff\xd8\xff\xc4" JPEG_SOF
                      "\0\0\0\0\0\0\0\0\0\0\0\0"),           /* a table is no frame */
        SLICE_LITERAL("\xff\xd8\xff\xe0\0\x01\0\0\0\0\0\0"), /* a segment shorter than its length */
        SLICE_LITERAL("GIF90a\x03\0\x05\x01"),
        SLICE_LITERAL("RIFF\x24\0\0\0WAVEVP8X\x0a\0\0\0\0\0\0\0\x7f\x02\0\xdf\x01\0"),
        SLICE_LITERAL(WEBP "VP8 \x18\0\0\0\0\0\0\x9d\x01\x2b\x80\x02\xe0\x01"),
    };
    struct image_head head;
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_false(image_head_read(BAD[i], &head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_says_its_sides),
        cmocka_unit_test(a_head_that_is_cut_is_none),
        cmocka_unit_test(what_is_no_image_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
