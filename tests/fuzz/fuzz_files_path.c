/* What clients call a file. Properties: what is taken is a path without an empty name, "." or "..", within its limits, and stands
 * for itself again; every name of the disk comes back from its text. */
#include <stdint.h>
#include <stdlib.h>

#include "kernelhub/files_path.h"
#include "web/file_path.h"
#include "web/percent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_path(const char *path)
{
    char again[FILES_MAX_PATH + 1];
    struct err e = ERR_INIT;
    CLEANUP_BUF struct buf text = BUF_INIT(FILES_MAX_TEXT), url = BUF_INIT(3 * FILES_MAX_TEXT);
    size_t n = strlen(path);
    check(n <= FILES_MAX_PATH && (n == 0 || (path[0] != '/' && path[n - 1] != '/')));
    check(!strstr(path, "//") && !strstr(path, "/../") && !strstr(path, "/./"));
    check(strcmp(path, "..") != 0 && strncmp(path, "../", 3) != 0 && strncmp(path, "./", 2) != 0);
    check(n < 3 || strcmp(path + n - 3, "/..") != 0);
    files_path_write(slice_str(path), &text);
    check(!text.failed && utf8_valid(buf_slice(&text)));
    check(files_path_read(buf_slice(&text), again, &e) == 0 && strcmp(again, path) == 0);
    file_path_write(path, &url);
    check(file_path_read(buf_slice(&url), again, &e) == 0 && strcmp(again, path) == 0);
}

static void read_text(struct slice text)
{
    char path[FILES_MAX_PATH + 1];
    struct err e = ERR_INIT;
    if (files_path_read(text, path, &e) == 0)
        check_path(path);
    else
        check(e.code == ERR_INVALID && e.text[0]);
    if (file_path_read(text, path, &e) == 0)
        check_path(path);
}

static void read_name(struct slice bytes)
{
    char back[FILES_MAX_PATH + 1], name[FILES_MAX_NAME + 1];
    struct err e = ERR_INIT;
    CLEANUP_BUF struct buf text = BUF_INIT(FILES_MAX_TEXT);
    if (bytes.len == 0 || bytes.len > FILES_MAX_NAME || memchr(bytes.data, '/', bytes.len) ||
        memchr(bytes.data, '\0', bytes.len) || slice_is(bytes, ".") || slice_is(bytes, ".."))
        return;
    memcpy(name, bytes.data, bytes.len);
    name[bytes.len] = '\0';
    files_path_write(bytes, &text);
    check(files_path_read(buf_slice(&text), back, &e) == 0 && strcmp(back, name) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size ? size : 1); /* exact, so that a sanitizer sees a read behind it */
    check(text != NULL);
    if (size)
        memcpy(text, data, size);
    read_text(slice_of(text, size));
    read_name(slice_of(text, size));
    free(text);
    return 0;
}
