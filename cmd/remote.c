#include "cmd/remote.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define MAX_PATH (64u << 10) /* escaped; more than any service reads */

static const char INSIDE[] = "/workspace/"; /* as the code in a sandbox names it */

char *remote_add(char *url, const char *name, const char *value)
{
    char *full = NULL, *escaped = value ? curl_easy_escape(NULL, value, 0) : NULL;

    if (!value)
        return url;
    if (!escaped ||
        asprintf(&full, "%s%c%s=%s", url, strchr(url, '?') ? '&' : '?', name, escaped) < 0)
        abort();
    curl_free(escaped);
    free(url);
    return full;
}

char *remote_files(const char *sandbox)
{
    char *url = strdup(REMOTE_FILES);

    if (!url)
        abort();
    return remote_add(url, "sandbox", sandbox);
}

static int add_segment(struct buf *url, const char *segment, size_t n, const char *path,
                       struct err *e)
{
    if (n == 0 || (n == 1 && segment[0] == '.'))
        return 0;
    if (n == 2 && segment[0] == '.' && segment[1] == '.')
        return err_set(e, ERR_INVALID, "'%.100s' leads out of the workspace", path);
    char *escaped = curl_easy_escape(NULL, segment, (int)n);
    buf_addf(url, "/%s", escaped ? escaped : "");
    curl_free(escaped);
    return 0;
}

char *remote_folder(const char *path, const char *sandbox, struct err *e)
{
    CLEANUP_BUF struct buf url = BUF_INIT(MAX_PATH);
    bool is_inside = strncmp(path, INSIDE, sizeof INSIDE - 1) == 0;

    buf_add_str(&url, REMOTE_FILES);
    for (const char *at = path + (is_inside ? sizeof INSIDE - 1 : 0); *at;) {
        size_t n = strcspn(at, "/");
        if (add_segment(&url, at, n, path, e) < 0)
            return NULL;
        at += at[n] ? n + 1 : n;
    }
    if (url.len == sizeof REMOTE_FILES - 1)
        buf_add_char(&url, '/');
    if (url.failed) {
        (void)err_set(e, ERR_TOO_LARGE, "a path of %zu bytes is too long", strlen(path));
        return NULL;
    }
    return remote_add(buf_take(&url), "sandbox", sandbox);
}

char *remote_file(const char *path, const char *sandbox, struct err *e)
{
    char *url = remote_folder(path, sandbox, e);

    if (!url || (url[sizeof REMOTE_FILES] && url[sizeof REMOTE_FILES] != '?'))
        return url;
    (void)err_set(e, ERR_INVALID, "'%.100s' is the workspace itself", path);
    free(url);
    return NULL;
}

const char *remote_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash && slash[1] ? slash + 1 : path;
}

char *remote_target(const char *wanted, const char *name)
{
    char *target = NULL;
    size_t n = wanted ? strlen(wanted) : 0;
    bool is_folder = n == 0 || wanted[n - 1] == '/';

    if (asprintf(&target, "%s%s", wanted ? wanted : "", is_folder ? name : "") < 0)
        abort();
    return target;
}
