/* Sources: PNG (W3C, 5.2 and 11.2.2), JPEG (ITU T.81, B.1 and B.2.2), GIF89a (18), WebP container (RFC 9649), VP8 (RFC 6386, 9.1). */
#include "protocol/image_head.h"

static unsigned byte(struct slice s, size_t at)
{
    return (unsigned char)s.data[at];
}

static uint32_t big(struct slice s, size_t at, unsigned n)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < n; i++)
        v = v << 8 | byte(s, at + i);
    return v;
}

static uint32_t little(struct slice s, size_t at, unsigned n)
{
    uint32_t v = 0;
    for (unsigned i = n; i > 0; i--)
        v = v << 8 | byte(s, at + i - 1);
    return v;
}

static bool has(struct slice s, size_t at, const char *bytes, size_t n)
{
    return s.len >= at && s.len - at >= n && memcmp(s.data + at, bytes, n) == 0;
}

/* The signature, then the chunk IHDR, always of 13 bytes. */
static bool read_png(struct slice s, struct image_head *ret)
{
    if (s.len < 24 || !has(s, 8, "\0\0\0\x0dIHDR", 8))
        return false;
    ret->width = big(s, 16, 4);
    ret->height = big(s, 20, 4);
    return true;
}

/* A frame's header: SOF0 to SOF15, but three of these numbers are something else. */
static bool is_frame(unsigned marker)
{
    return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

/* RST0 to RST7 and TEM: markers without a length. */
static bool is_alone(unsigned marker)
{
    return (marker >= 0xd0 && marker <= 0xd7) || marker == 0x01;
}

/* Segment after segment until the frame's; FF may fill the room before a marker. */
static bool read_jpeg(struct slice s, struct image_head *ret)
{
    size_t at = 2;
    while (s.len - at >= 4) {
        unsigned marker = byte(s, at + 1);
        if (byte(s, at) != 0xff || marker == 0xd9 || marker == 0xda || marker == 0)
            return false;
        if (marker == 0xff) {
            at++;
            continue;
        }
        if (is_alone(marker)) {
            at += 2;
            continue;
        }
        size_t len = big(s, at + 2, 2);
        if (is_frame(marker)) {
            if (len < 7 || s.len - at < 9)
                return false;
            ret->height = big(s, at + 5, 2);
            ret->width = big(s, at + 7, 2);
            return true;
        }
        if (len < 2 || s.len - at - 2 < len)
            return false;
        at += 2 + len;
    }
    return false;
}

static bool read_gif(struct slice s, struct image_head *ret)
{
    if (s.len < 10)
        return false;
    ret->width = little(s, 6, 2);
    ret->height = little(s, 8, 2);
    return true;
}

/* RIFF, its length, WEBP, then the first chunk: one of three. */
static bool read_webp(struct slice s, struct image_head *ret)
{
    if (s.len < 30)
        return false;
    if (has(s, 12, "VP8X", 4)) {
        ret->width = little(s, 24, 3) + 1;
        ret->height = little(s, 27, 3) + 1;
        return true;
    }
    if (has(s, 12, "VP8L", 4) && byte(s, 20) == 0x2f) {
        uint32_t bits = little(s, 21, 4);
        ret->width = (bits & 0x3fff) + 1;
        ret->height = (bits >> 14 & 0x3fff) + 1;
        return true;
    }
    if (has(s, 12, "VP8 ", 4) && has(s, 23, "\x9d\x01\x2a", 3)) {
        ret->width = little(s, 26, 2) & 0x3fff;
        ret->height = little(s, 28, 2) & 0x3fff;
        return true;
    }
    return false;
}

bool image_head_read(struct slice s, struct image_head *ret)
{
    struct image_head head = { .kind = IMAGE_PNG };
    bool known = false;
    if (has(s, 0, "\x89PNG\r\n\x1a\n", 8)) {
        known = read_png(s, &head);
    } else if (has(s, 0, "\xff\xd8\xff", 3)) {
        head.kind = IMAGE_JPEG;
        known = read_jpeg(s, &head);
    } else if (has(s, 0, "GIF87a", 6) || has(s, 0, "GIF89a", 6)) {
        head.kind = IMAGE_GIF;
        known = read_gif(s, &head);
    } else if (has(s, 0, "RIFF", 4) && has(s, 8, "WEBP", 4)) {
        head.kind = IMAGE_WEBP;
        known = read_webp(s, &head);
    }
    if (!known || !head.width || !head.height)
        return false;
    *ret = head;
    return true;
}

static const struct {
    const char *name, *media_type;
} KINDS[] = {
    [IMAGE_PNG] = { "png", "image/png" },
    [IMAGE_JPEG] = { "jpeg", "image/jpeg" },
    [IMAGE_GIF] = { "gif", "image/gif" },
    [IMAGE_WEBP] = { "webp", "image/webp" },
};

const char *image_kind_name(enum image_kind kind)
{
    return KINDS[kind].name;
}

const char *image_kind_media_type(enum image_kind kind)
{
    return KINDS[kind].media_type;
}
