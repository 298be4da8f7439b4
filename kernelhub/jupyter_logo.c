/* Logos of kernelspecs: an image's files, so a stranger's. They stay as they came, base64, until somebody looks. */
#include <sodium.h>
#include <stdio.h>

#include "base/base64.h"
#include "base/json.h"
#include "kernelhub/catalog.h"
#include "kernelhub/jupyter_internal.h"

/* "logo-64x64.png" → "logo-64x64" */
static void write_name(struct slice file, struct buf *out)
{
    const char *dot = memchr(file.data, '.', file.len);
    json_quote(out, slice_of(file.data, dot ? (size_t)(dot - file.data) : file.len));
}

void jupyter_write_logos(struct hub *h, const char *name, const struct catalog_kernel *k,
                         struct buf *out)
{
    const char *comma = "";
    struct json_iter it = json_iter(k->logos);
    buf_add_char(out, '{');
    while (json_next(&it)) {
        CLEANUP_BUF struct buf path = BUF_INIT(4096);
        buf_addf(&path, "%s/kernelspecs/%s/", config_text(h->config, CONFIG_SERVER_BASE_PATH),
                 name);
        buf_add_slice(&path, it.key);
        buf_add_str(out, comma);
        write_name(it.key, out);
        buf_add_char(out, ':');
        json_quote(out, buf_slice(&path));
        comma = ",";
    }
    buf_add_char(out, '}');
}

static void write_tag(struct slice bytes, char ret_tag[JUPYTER_LOGO_TAG_CHARS + 1])
{
    unsigned char hash[JUPYTER_LOGO_TAG_CHARS / 2];
    (void)crypto_generichash(hash, sizeof hash, (const unsigned char *)bytes.data, bytes.len, NULL,
                             0); /* fails for other sizes only */
    (void)sodium_bin2hex(ret_tag, JUPYTER_LOGO_TAG_CHARS + 1, hash, sizeof hash); /* it fits */
}

bool jupyter_write_logo(struct hub *h, const char *name, const char *file, struct buf *bytes,
                        char ret_tag[JUPYTER_LOGO_TAG_CHARS + 1])
{
    const struct catalog_kernel *k = jupyter_find_spec(h->catalog, name);
    struct slice text;
    if (!k || !json_member_string(k->logos, file, &text) || !base64_decode(bytes, text))
        return false;
    write_tag(buf_slice(bytes), ret_tag);
    return true;
}
