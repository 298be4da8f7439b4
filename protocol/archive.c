#include "protocol/archive.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <zlib.h>

#include "base/json_chars.h"

#define BLOCK         512 /* of a tar */
#define ZEROS         (64u * 1024)
#define USTAR_NAME    100
#define USTAR_MAX     077777777777ll /* eleven digits: size, time */
#define OWNER         1000           /* who owns the files inside of a sandbox */
#define NEEDS_ZIP64   0xf0000000ull  /* deflated it may be some more */
#define MAX_DIRECTORY (1024u * 1024 * 1024)
#define FLAGS         (1u << 3 | 1u << 11) /* sizes behind the data; UTF-8 */
#define DEFLATED      8
#define MEMORY        9 /* of zlib: 256 KiB */

enum { SINCE_DEFLATE = 20, SINCE_ZIP64 = 45, MADE_BY_UNIX = 3 << 8 | SINCE_ZIP64 };

struct archive {
    enum archive_kind kind;
    uint64_t said, added; /* of the present entry */
    bool is_folder;

    z_stream deflate; /* zip, from here on */
    uint64_t offset;  /* of the next byte */
    uint64_t begun;   /* of the present entry */
    uint64_t packed;
    uint32_t crc;
    bool is_64;
    struct archive_entry entry;
    char *path;
    uint64_t n_entries, directory_bytes;
    struct buf directory;
};

struct archive *archive_new(enum archive_kind kind)
{
    struct archive *a = calloc(1, sizeof *a);
    assert(a);
    a->kind = kind;
    buf_init(&a->directory, MAX_DIRECTORY);
    if (kind == ARCHIVE_ZIP) {
        int rc = deflateInit2(&a->deflate, Z_BEST_SPEED, Z_DEFLATED, -MAX_WBITS, MEMORY,
                              Z_DEFAULT_STRATEGY);
        assert(rc == Z_OK); /* no memory */
    }
    return a;
}

void archive_free(struct archive *a)
{
    if (!a)
        return;
    if (a->kind == ARCHIVE_ZIP)
        (void)deflateEnd(&a->deflate); /* in the middle of an entry, perhaps */
    buf_done(&a->directory);
    free(a->path);
    free(a);
}

/* ---- tar ---- */

struct ustar {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100],
        magic[8], user[32], group[32], major[8], minor[8], prefix[155], rest[12];
};
_Static_assert(sizeof(struct ustar) == BLOCK, "a header is a block");

static void pad(struct buf *out, uint64_t bytes)
{
    static const char NUL[BLOCK];
    buf_add(out, NUL, (size_t)((BLOCK - bytes % BLOCK) % BLOCK));
}

static void add_header(struct buf *out, char type, struct slice name, unsigned mode, uint64_t bytes,
                       int64_t time_s)
{
    struct ustar h = { .type = type, .magic = "ustar\00000" };
    unsigned sum = 0;
    int64_t fits = time_s < 0 || time_s > USTAR_MAX ? 0 : time_s;
    memcpy(h.name, name.data, name.len < USTAR_NAME ? name.len : USTAR_NAME);
    (void)snprintf(h.mode, sizeof h.mode, "%07o", mode & 0777);
    (void)snprintf(h.uid, sizeof h.uid, "%07o", OWNER);
    (void)snprintf(h.gid, sizeof h.gid, "%07o", OWNER);
    (void)snprintf(h.size, sizeof h.size, "%011llo",
                   bytes > USTAR_MAX ? 0 : (unsigned long long)bytes);
    (void)snprintf(h.mtime, sizeof h.mtime, "%011llo", (unsigned long long)fits);
    memset(h.checksum, ' ', sizeof h.checksum);
    for (size_t i = 0; i < sizeof h; i++)
        sum += ((const unsigned char *)&h)[i];
    (void)snprintf(h.checksum, sizeof h.checksum, "%06o", sum); /* six digits, NUL, blank */
    buf_add(out, &h, sizeof h);
}

/* "LENGTH key=value\n", and the length counts itself. */
static void add_record(struct buf *pax, const char *key, struct slice value)
{
    size_t n = strlen(key) + value.len + 3, len = n + 1;
    char digits[24];
    for (int i = 0; i < 3; i++)
        len = n + (size_t)snprintf(digits, sizeof digits, "%zu", len);
    buf_addf(pax, "%zu %s=", len, key);
    buf_add_slice(pax, value);
    buf_add_char(pax, '\n');
}

static bool is_utf8(struct slice text)
{
    const unsigned char *s = (const unsigned char *)text.data, *end = s + text.len;
    for (size_t n; s < end; s += n)
        if (!(n = json_chars_utf8(s, end)))
            return false;
    return true;
}

static void begin_tar(const struct archive_entry *entry, struct buf *out)
{
    CLEANUP_BUF struct buf name = BUF_INIT(1 << 17), pax = BUF_INIT(1 << 18);
    char number[24];
    buf_add_slice(&name, entry->path);
    if (entry->is_folder)
        buf_add_char(&name, '/');
    if (name.len > USTAR_NAME) {
        if (!is_utf8(entry->path))
            add_record(&pax, "hdrcharset", SLICE_LITERAL("BINARY"));
        add_record(&pax, "path", buf_slice(&name));
    }
    (void)snprintf(number, sizeof number, "%" PRIu64, entry->bytes);
    if (entry->bytes > USTAR_MAX)
        add_record(&pax, "size", slice_str(number));
    (void)snprintf(number, sizeof number, "%" PRId64, entry->modified_s);
    if (entry->modified_s < 0 || entry->modified_s > USTAR_MAX)
        add_record(&pax, "mtime", slice_str(number));
    if (pax.len) {
        add_header(out, 'x', SLICE_LITERAL("pax"), 0644, pax.len, entry->modified_s);
        buf_add_slice(out, buf_slice(&pax));
        pad(out, pax.len);
    }
    add_header(out, entry->is_folder ? '5' : '0', buf_slice(&name), entry->mode,
               entry->is_folder ? 0 : entry->bytes, entry->modified_s);
}

/* A header has said how many there are. */
static bool end_tar(struct archive *a, struct buf *out, bool *ret_is_over)
{
    static const char NUL[ZEROS];
    uint64_t left = a->said - a->added;
    size_t n = left < ZEROS ? (size_t)left : ZEROS;
    buf_add(out, NUL, n);
    a->added += n;
    *ret_is_over = a->added == a->said;
    if (*ret_is_over)
        pad(out, a->said);
    return left == 0;
}

/* ---- zip ---- */

static void add_u16(struct buf *out, unsigned v)
{
    const char bytes[2] = { (char)v, (char)(v >> 8) };
    buf_add(out, bytes, 2);
}

static void add_u32(struct buf *out, uint64_t v)
{
    add_u16(out, (unsigned)(v & 0xffff));
    add_u16(out, (unsigned)(v >> 16 & 0xffff));
}

static void add_u64(struct buf *out, uint64_t v)
{
    add_u32(out, v & 0xffffffff);
    add_u32(out, v >> 32);
}

/* Of a number that stands in a zip64 field when it does not fit. */
static void add_u32_or_64(struct buf *out, uint64_t v, bool is_64)
{
    add_u32(out, is_64 ? 0xffffffff : v);
}

static void add_dos_time(struct buf *out, int64_t time_s)
{
    struct tm tm = { .tm_year = 80, .tm_mday = 1 };
    time_t t = (time_t)time_s;
    if (!gmtime_r(&t, &tm) || tm.tm_year < 80 || tm.tm_year > 80 + 127)
        tm = (struct tm){ .tm_year = 80, .tm_mday = 1 };
    add_u16(out, (unsigned)(tm.tm_hour << 11 | tm.tm_min << 5 | tm.tm_sec / 2));
    add_u16(out, (unsigned)((tm.tm_year - 80) << 9 | (tm.tm_mon + 1) << 5 | tm.tm_mday));
}

static size_t name_bytes(const struct archive_entry *entry)
{
    return entry->path.len + entry->is_folder;
}

static void add_name(struct buf *out, const struct archive_entry *entry)
{
    buf_add_slice(out, entry->path);
    if (entry->is_folder)
        buf_add_char(out, '/');
}

/* Info-ZIP's: a DOS time has no zone and two seconds. */
static void add_unix_time(struct buf *out, int64_t time_s)
{
    add_u16(out, 0x5455);
    add_u16(out, 5);
    buf_add_char(out, 1);
    add_u32(out, time_s < 0 || time_s > INT32_MAX ? 0 : (uint64_t)time_s);
}
#define UNIX_TIME_BYTES 9

static void begin_zip(struct archive *a, struct buf *out)
{
    const struct archive_entry *e = &a->entry;
    a->begun = a->offset;
    a->packed = 0;
    a->crc = (uint32_t)crc32(0, NULL, 0);
    a->is_64 = !e->is_folder && e->bytes >= NEEDS_ZIP64;
    (void)deflateReset(&a->deflate); /* fails only for a broken stream */
    add_u32(out, 0x04034b50);
    add_u16(out, a->is_64 ? SINCE_ZIP64 : SINCE_DEFLATE);
    add_u16(out, e->is_folder ? FLAGS & ~(1u << 3) : FLAGS);
    add_u16(out, e->is_folder ? 0 : DEFLATED);
    add_dos_time(out, e->modified_s);
    add_u32(out, 0); /* they come behind the data */
    add_u32_or_64(out, 0, a->is_64);
    add_u32_or_64(out, 0, a->is_64);
    add_u16(out, (unsigned)name_bytes(e));
    add_u16(out, UNIX_TIME_BYTES + (a->is_64 ? 20 : 0));
    add_name(out, e);
    if (a->is_64) {
        add_u16(out, 0x0001);
        add_u16(out, 16);
        add_u64(out, 0);
        add_u64(out, 0);
    }
    add_unix_time(out, e->modified_s);
}

static void pack(struct archive *a, struct slice bytes, int how, struct buf *out)
{
    static unsigned char nothing[1];
    a->deflate.next_in = bytes.len ? (unsigned char *)(uintptr_t)bytes.data : nothing;
    a->deflate.avail_in = (unsigned)bytes.len;
    for (;;) {
        unsigned room_bytes = 16384;
        char *room = buf_room(out, room_bytes);
        if (!room)
            return; /* out has failed, and says so */
        a->deflate.next_out = (unsigned char *)room;
        a->deflate.avail_out = room_bytes;
        int rc = deflate(&a->deflate, how);
        out->len += room_bytes - a->deflate.avail_out;
        a->packed += room_bytes - a->deflate.avail_out;
        if (rc == Z_STREAM_END || a->deflate.avail_out)
            return;
    }
}

static void add_directory_entry(struct archive *a)
{
    const struct archive_entry *e = &a->entry;
    struct buf *out = &a->directory;
    size_t before = out->len;
    bool far = a->begun >= 0xffffffff;
    unsigned extra = (a->is_64 ? 16 : 0) + (far ? 8 : 0);
    add_u32(out, 0x02014b50);
    add_u16(out, MADE_BY_UNIX);
    add_u16(out, extra ? SINCE_ZIP64 : SINCE_DEFLATE);
    add_u16(out, e->is_folder ? FLAGS & ~(1u << 3) : FLAGS);
    add_u16(out, e->is_folder ? 0 : DEFLATED);
    add_dos_time(out, e->modified_s);
    add_u32(out, a->crc);
    add_u32_or_64(out, a->packed, a->is_64);
    add_u32_or_64(out, a->added, a->is_64);
    add_u16(out, (unsigned)name_bytes(e));
    add_u16(out, UNIX_TIME_BYTES + (extra ? 4 + extra : 0));
    add_u16(out, 0); /* comment */
    add_u16(out, 0); /* disk */
    add_u16(out, 0);
    add_u32(out, (uint64_t)((e->is_folder ? 0040000u : 0100000u) | (e->mode & 0777)) << 16 |
                     (e->is_folder ? 0x10 : 0));
    add_u32_or_64(out, a->begun, far);
    add_name(out, e);
    if (extra) {
        add_u16(out, 0x0001);
        add_u16(out, extra);
    }
    if (a->is_64) {
        add_u64(out, a->added);
        add_u64(out, a->packed);
    }
    if (far)
        add_u64(out, a->begun);
    add_unix_time(out, e->modified_s);
    a->directory_bytes += out->len - before;
    a->n_entries++;
}

static void end_zip(struct archive *a, struct buf *out)
{
    if (!a->is_folder) {
        pack(a, slice_of(NULL, 0), Z_FINISH, out);
        add_u32(out, 0x08074b50);
        add_u32(out, a->crc);
        if (a->is_64) {
            add_u64(out, a->packed);
            add_u64(out, a->added);
        } else {
            add_u32(out, a->packed);
            add_u32(out, a->added);
        }
    }
    add_directory_entry(a);
}

static void finish_zip(struct archive *a, struct buf *out)
{
    uint64_t at = a->offset, n = a->n_entries, bytes = a->directory_bytes;
    buf_add_slice(out, buf_slice(&a->directory));
    if (n >= 0xffff || at >= 0xffffffff || bytes >= 0xffffffff) {
        add_u32(out, 0x06064b50);
        add_u64(out, 44); /* bytes of what follows in here */
        add_u16(out, MADE_BY_UNIX);
        add_u16(out, SINCE_ZIP64);
        add_u32(out, 0);
        add_u32(out, 0);
        add_u64(out, n);
        add_u64(out, n);
        add_u64(out, bytes);
        add_u64(out, at);
        add_u32(out, 0x07064b50);
        add_u32(out, 0);
        add_u64(out, at + bytes);
        add_u32(out, 1);
    }
    add_u32(out, 0x06054b50);
    add_u16(out, 0);
    add_u16(out, 0);
    add_u16(out, n >= 0xffff ? 0xffff : (unsigned)n);
    add_u16(out, n >= 0xffff ? 0xffff : (unsigned)n);
    add_u32_or_64(out, bytes, bytes >= 0xffffffff);
    add_u32_or_64(out, at, at >= 0xffffffff);
    add_u16(out, 0);
}

/* ---- both ---- */

void archive_begin(struct archive *a, const struct archive_entry *entry, struct buf *out)
{
    size_t before = out->len;
    a->said = entry->is_folder ? 0 : entry->bytes;
    a->added = 0;
    a->is_folder = entry->is_folder;
    if (a->kind == ARCHIVE_TAR) {
        begin_tar(entry, out);
        return;
    }
    free(a->path);
    a->path = strndup(entry->path.data, entry->path.len);
    assert(a->path);
    a->entry = *entry;
    a->entry.path.data = a->path;
    begin_zip(a, out);
    a->offset += out->len - before;
}

void archive_add(struct archive *a, struct slice bytes, struct buf *out)
{
    size_t before = out->len;
    if (bytes.len > a->said - a->added)
        bytes.len = (size_t)(a->said - a->added);
    a->added += bytes.len;
    if (a->kind == ARCHIVE_TAR) {
        buf_add_slice(out, bytes);
        return;
    }
    if (bytes.len) {
        a->crc = (uint32_t)crc32(a->crc, (const unsigned char *)bytes.data, (unsigned)bytes.len);
        pack(a, bytes, Z_NO_FLUSH, out);
    }
    a->offset += out->len - before;
}

bool archive_end(struct archive *a, struct buf *out, bool *ret_is_over)
{
    size_t before = out->len;
    bool is_whole = a->added == a->said;
    if (a->kind == ARCHIVE_TAR)
        return end_tar(a, out, ret_is_over);
    end_zip(a, out);
    a->offset += out->len - before;
    *ret_is_over = true;
    return is_whole;
}

struct buf *archive_directory(struct archive *a)
{
    return &a->directory;
}

void archive_finish(struct archive *a, struct buf *out)
{
    static const char NUL[2 * BLOCK];
    if (a->kind == ARCHIVE_ZIP)
        finish_zip(a, out);
    else
        buf_add(out, NUL, sizeof NUL);
}
