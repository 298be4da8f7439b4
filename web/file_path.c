#include "web/file_path.h"

#include <ctype.h>

#include "web/percent.h"

int file_path_read(struct slice raw, char ret[FILES_MAX_PATH + 1], struct err *e)
{
    CLEANUP_BUF struct buf text = BUF_INIT(3 * FILES_MAX_TEXT);
    char *room = buf_room(&text, raw.len); /* and one for the NUL */
    size_t n;
    if (!room)
        return err_set(e, ERR_INVALID, "the path is longer than %d bytes", FILES_MAX_PATH);
    if (!percent_decode(raw, false, room, &n))
        return err_set(e, ERR_INVALID,
                       "the path has a bad percent escape, a NUL or other control character, or is "
                       "not UTF-8");
    return files_path_read(slice_of(room, n), ret, e);
}

void file_path_write(const char *path, struct buf *out)
{
    CLEANUP_BUF struct buf text = BUF_INIT(FILES_MAX_TEXT);
    files_path_write(slice_str(path), &text);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c < 0x80 && (isalnum(c) || strchr("-._~/", c)))
            buf_add_char(out, (char)c);
        else
            buf_addf(out, "%%%02X", c);
    }
}
