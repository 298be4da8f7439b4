#include "web/file_item.h"

#include <inttypes.h>

#include "base/json.h"
#include "web/contents.h"

static void write_text(const char *bytes, struct buf *out)
{
    CLEANUP_BUF struct buf text = BUF_INIT(FILES_MAX_TEXT);
    files_path_write(slice_str(bytes), &text);
    json_quote(out, buf_slice(&text));
}

void file_item_write(const char *path, const struct files_stat *st, bool is_closed, struct buf *out)
{
    static const char *const TYPES[] = {
        [FILES_FILE] = "file", [FILES_FOLDER] = "directory", [FILES_OTHER] = "other"
    };
    buf_add_str(out, "{\"name\":");
    write_text(files_path_name(path), out);
    buf_add_str(out, ",\"path\":");
    write_text(path, out);
    buf_addf(out, ",\"type\":\"%s\",\"size_bytes\":", TYPES[st->type]);
    if (st->type == FILES_FILE)
        buf_addf(out, "%" PRIu64, st->bytes);
    else
        buf_add_str(out, "null");
    buf_add_str(out, ",\"modified_at\":");
    contents_write_time(st->modified_ns, out);
    if (is_closed)
        buf_add_str(out, ",\"closed\":true");
    buf_add_char(out, '}');
}
