#include "base/mime.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

static const struct {
    const char *extension, *type;
} TYPES[] = {
    { "avif", "image/avif" },
    { "bin", "application/octet-stream" },
    { "bmp", "image/bmp" },
    { "bz2", "application/x-bzip2" },
    { "c", "text/x-c" },
    { "cfg", "text/plain" },
    { "conf", "text/plain" },
    { "css", "text/css" },
    { "csv", "text/csv" },
    { "gif", "image/gif" },
    { "gz", "application/gzip" },
    { "h", "text/x-c" },
    { "h5", "application/x-hdf5" },
    { "hdf5", "application/x-hdf5" },
    { "htm", "text/html" },
    { "html", "text/html" },
    { "ico", "image/vnd.microsoft.icon" },
    { "ini", "text/plain" },
    { "ipynb", "application/x-ipynb+json" },
    { "jpeg", "image/jpeg" },
    { "jpg", "image/jpeg" },
    { "js", "text/javascript" },
    { "json", "application/json" },
    { "log", "text/plain" },
    { "md", "text/markdown" },
    { "mjs", "text/javascript" },
    { "mp3", "audio/mpeg" },
    { "mp4", "video/mp4" },
    { "ogg", "audio/ogg" },
    { "parquet", "application/vnd.apache.parquet" },
    { "pdf", "application/pdf" },
    { "png", "image/png" },
    { "py", "text/x-python" },
    { "r", "text/plain" },
    { "rst", "text/x-rst" },
    { "sh", "application/x-sh" },
    { "svg", "image/svg+xml" },
    { "tar", "application/x-tar" },
    { "tex", "application/x-tex" },
    { "tif", "image/tiff" },
    { "tiff", "image/tiff" },
    { "ts", "text/plain" },
    { "tsv", "text/tab-separated-values" },
    { "txt", "text/plain" },
    { "wasm", "application/wasm" },
    { "wav", "audio/x-wav" },
    { "webm", "video/webm" },
    { "webp", "image/webp" },
    { "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" },
    { "xml", "text/xml" },
    { "xz", "application/x-xz" },
    { "yaml", "application/yaml" },
    { "yml", "application/yaml" },
    { "zip", "application/zip" },
};

const char *mime_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    if (!dot || dot == name)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++)
        if (strcasecmp(TYPES[i].extension, dot + 1) == 0)
            return TYPES[i].type;
    return NULL;
}
