#include "sandbox/kernelspecs.h"

#include <ctype.h>
#include <sodium.h>

#include "base/cleanup.h"
#include "base/json.h"

static const char *const LOGOS[] = { "logo-32x32.png", "logo-64x64.png", "logo-svg.svg" };

static bool is_name(struct slice s)
{
    if (s.len == 0 || s.len > KERNELSPECS_MAX_NAME || s.data[0] == '.')
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!isalnum((unsigned char)s.data[i]) && !memchr("._-", s.data[i], 3))
            return false;
    return true;
}

static bool until_nul(struct slice *rest, struct slice *ret)
{
    const char *end = rest->len ? memchr(rest->data, '\0', rest->len) : NULL;
    if (!end)
        return false;
    *ret = slice_of(rest->data, (size_t)(end - rest->data));
    *rest = slice_of(end + 1, rest->len - ret->len - 1);
    return true;
}

static bool to_length(struct slice digits, size_t max, size_t *ret)
{
    size_t n = 0;
    if (digits.len == 0 || digits.len > 6)
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return false;
        n = n * 10 + (size_t)(digits.data[i] - '0');
    }
    *ret = n;
    return n > 0 && n <= max;
}

static bool seen_before(const struct slice *names, size_t n, struct slice name)
{
    for (size_t i = 0; i < n; i++)
        if (slice_equal(names[i], name))
            return true;
    return false;
}

/* LENGTH NUL LENGTH bytes. */
static bool take_file(struct slice *rest, size_t max, struct slice *ret)
{
    struct slice digits;
    size_t len;
    if (!until_nul(rest, &digits) || !to_length(digits, max, &len) || len > rest->len)
        return false;
    *ret = slice_of(rest->data, len);
    *rest = slice_of(rest->data + len, rest->len - len);
    return true;
}

/* ---- logos ---- */

/* Its place in LOGOS; ARRAY_LEN: it is none. */
static size_t find_logo(struct slice file)
{
    size_t i = 0;
    while (i < ARRAY_LEN(LOGOS) && !slice_is(file, LOGOS[i]))
        i++;
    return i;
}

/* A browser will look at it: at least it is what its name says. */
static bool looks_right(size_t logo, struct slice bytes)
{
    static const char PNG[] = "\x89PNG\r\n\x1a\n";
    if (strstr(LOGOS[logo], ".png"))
        return bytes.len > sizeof PNG - 1 && memcmp(bytes.data, PNG, sizeof PNG - 1) == 0;
    CLEANUP_BUF struct buf quoted = BUF_INIT(6 * bytes.len + 2),
                           mended = BUF_INIT(6 * bytes.len + 2);
    json_quote(&quoted, bytes); /* what is no UTF-8 is another text then */
    json_unescape(&mended, slice_of(quoted.data + 1, quoted.len - 2));
    return slice_equal(buf_slice(&mended), bytes);
}

static void write_base64(struct slice bytes, struct buf *out)
{
    size_t size = sodium_base64_ENCODED_LEN(bytes.len, sodium_base64_VARIANT_ORIGINAL);
    char *room = buf_room(out, size);
    if (!room)
        return;
    (void)sodium_bin2base64(room, size, (const unsigned char *)bytes.data, bytes.len,
                            sodium_base64_VARIANT_ORIGINAL); /* it has the room */
    out->len += size - 1;                                    /* not its NUL */
}

/* What is printed, as it is read. */
struct parse {
    struct slice names[KERNELSPECS_MAX];
    size_t n;
    bool has_logo[ARRAY_LEN(LOGOS)]; /* of the last one */
    size_t n_logos, n_with_logos;
    struct buf *specs, *logos;
};

static bool add_logo(struct parse *p, struct slice name, struct slice bytes)
{
    struct slice last = p->n ? p->names[p->n - 1] : slice_of(NULL, 0);
    if (last.len == 0 || name.len < last.len + 1 || memcmp(name.data, last.data, last.len) != 0 ||
        name.data[last.len] != '/')
        return false;
    size_t logo = find_logo(slice_of(name.data + last.len + 1, name.len - last.len - 1));
    if (logo == ARRAY_LEN(LOGOS) || p->has_logo[logo])
        return false;
    p->has_logo[logo] = true;
    if (!looks_right(logo, bytes))
        return true;
    if (p->n_logos++ == 0) {
        buf_add_str(p->logos, p->n_with_logos++ ? "," : "");
        json_quote(p->logos, last);
        buf_add_str(p->logos, ":{");
    } else {
        buf_add_char(p->logos, ',');
    }
    buf_addf(p->logos, "\"%s\":\"", LOGOS[logo]);
    write_base64(bytes, p->logos);
    buf_add_char(p->logos, '"');
    return true;
}

static void end_logos(struct parse *p)
{
    if (p->n_logos)
        buf_add_char(p->logos, '}');
    p->n_logos = 0;
    memset(p->has_logo, 0, sizeof p->has_logo);
}

/* ---- kernelspecs ---- */

/* With room for the levels that a reply puts around it: it would cost the whole reply. */
static bool is_shallow_object(struct slice json)
{
    CLEANUP_BUF struct buf wrapped = BUF_INIT(KERNELSPECS_MAX_JSON_BYTES + 32);
    buf_add_str(&wrapped, "[[[[[[[[");
    buf_add_slice(&wrapped, json);
    buf_add_str(&wrapped, "]]]]]]]]");
    return !wrapped.failed && json_valid(buf_slice(&wrapped)) && json_type(json) == JSON_OBJECT;
}

static bool add_spec(struct parse *p, struct slice name, struct slice spec)
{
    if (p->n == KERNELSPECS_MAX || !is_name(name) || seen_before(p->names, p->n, name) ||
        !is_shallow_object(spec))
        return false;
    end_logos(p);
    if (p->n > 0)
        buf_add_char(p->specs, ',');
    json_quote(p->specs, name);
    buf_add_char(p->specs, ':');
    (void)json_splice(p->specs, spec); /* it is valid */
    p->names[p->n++] = name;
    return true;
}

static bool take_record(struct parse *p, struct slice *rest)
{
    struct slice name, bytes;
    if (!until_nul(rest, &name))
        return false;
    bool is_logo = name.len && memchr(name.data, '/', name.len);
    if (!take_file(rest, is_logo ? KERNELSPECS_MAX_LOGO_BYTES : KERNELSPECS_MAX_JSON_BYTES, &bytes))
        return false;
    return is_logo ? add_logo(p, name, bytes) : add_spec(p, name, bytes);
}

bool kernelspecs_parse(struct slice printed, struct buf *specs, struct buf *logos)
{
    struct parse p = { .specs = specs, .logos = logos };
    size_t begin = specs->len, begin_logos = logos->len;
    buf_add_char(specs, '{');
    buf_add_char(logos, '{');
    while (printed.len > 0)
        if (!take_record(&p, &printed))
            return false;
    end_logos(&p);
    buf_add_char(specs, '}');
    buf_add_char(logos, '}');
    return !specs->failed && specs->len - begin <= KERNELSPECS_MAX_BYTES && !logos->failed &&
           logos->len - begin_logos <= KERNELSPECS_MAX_LOGOS_BYTES;
}

static bool is_object(struct slice json)
{
    return json_valid(json) && json_type(json) == JSON_OBJECT;
}

bool kernelspecs_valid(struct slice specs)
{
    if (specs.len > KERNELSPECS_MAX_BYTES || !is_object(specs))
        return false;
    struct json_iter it = json_iter(specs);
    while (json_next(&it))
        if (!is_name(it.key) || json_type(it.value) != JSON_OBJECT)
            return false;
    return true;
}

/* ---- records ---- */

static bool logos_valid(struct slice logos)
{
    if (logos.len > KERNELSPECS_MAX_LOGOS_BYTES || json_type(logos) != JSON_OBJECT)
        return false;
    struct json_iter it = json_iter(logos);
    while (json_next(&it)) {
        struct json_iter files = json_iter(it.value);
        if (!is_name(it.key) || json_type(it.value) != JSON_OBJECT)
            return false;
        while (json_next(&files))
            if (find_logo(files.key) == ARRAY_LEN(LOGOS) || json_type(files.value) != JSON_STRING)
                return false;
    }
    return true;
}

void kernelspecs_write_record(struct slice specs, struct slice logos, struct buf *out)
{
    buf_add_str(out, "{\"v\":2,\"kernelspecs\":");
    buf_add_slice(out, specs);
    buf_add_str(out, ",\"logos\":");
    buf_add_slice(out, logos);
    buf_add_char(out, '}');
}

bool kernelspecs_read_record(struct slice record, struct slice *ret_specs, struct slice *ret_logos)
{
    int64_t version;
    struct slice specs, logos;
    if (!is_object(record) || !json_member_int(record, "v", &version) || version != 2 ||
        !json_member(record, "kernelspecs", &specs) || !kernelspecs_valid(specs) ||
        !json_member(record, "logos", &logos) || !logos_valid(logos))
        return false;
    *ret_specs = specs;
    *ret_logos = logos;
    return true;
}
