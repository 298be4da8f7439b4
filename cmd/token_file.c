#include "cmd/token_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/confine.h"

#define MAX_BYTES 8192

static void copy_value(char *ret, size_t size, struct slice value)
{
    if (value.len >= size || memchr(value.data, '\0', value.len))
        return;
    memcpy(ret, value.data, value.len);
    ret[value.len] = '\0';
}

static void parse_line(struct token_file *t, struct slice line)
{
    const char *equals = line.len ? memchr(line.data, '=', line.len) : NULL;

    if (!equals)
        return;
    struct slice name = slice_of(line.data, (size_t)(equals - line.data));
    struct slice value = slice_of(equals + 1, line.len - name.len - 1);
    if (slice_is(name, "url"))
        copy_value(t->url, sizeof t->url, value);
    else if (slice_is(name, "token"))
        copy_value(t->token, sizeof t->token, value);
    else if (slice_is(name, "state"))
        copy_value(t->state, sizeof t->state, value);
}

void token_file_parse(struct token_file *ret, struct slice text)
{
    memset(ret, 0, sizeof *ret);
    while (text.len > 0) {
        const char *end = memchr(text.data, '\n', text.len);
        size_t n = end ? (size_t)(end - text.data) : text.len;
        parse_line(ret, slice_of(text.data, n));
        text = slice_of(text.data + n + (end != NULL), text.len - n - (end != NULL));
    }
}

int token_file_read(const char *path, struct token_file *ret, struct err *e)
{
    char text[MAX_BYTES];
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    memset(ret, 0, sizeof *ret);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (n < 0)
        return err_errno(e, ERR_FORBIDDEN, "read the token file %s", path);
    token_file_parse(ret, slice_of(text, (size_t)n));
    return 0;
}

static int make_folder(const char *path, struct err *e)
{
    char folder[PATH_SIZE];
    const char *slash = strrchr(path, '/');

    if (!slash || slash == path || (size_t)(slash - path) >= sizeof folder)
        return err_set(e, ERR_INVALID, "%.200s is no absolute path of a file", path);
    memcpy(folder, path, (size_t)(slash - path));
    folder[slash - path] = '\0';
    return paths_make_all(folder, e);
}

static int write_here(const char *path, const struct token_file *t, struct err *e)
{
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_BYTES);
    char temporary[PATH_SIZE];

    if (make_folder(path, e) < 0)
        return -1;
    int n = snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    if (n < 0 || n >= (int)sizeof temporary)
        return err_set(e, ERR_INVALID, "the path %.100s… is too long", path);
    buf_addf(&text, "url=%s\ntoken=%s\nstate=%s\n", t->url, t->token, t->state);
    CLEANUP_FD int fd = mkostemp(temporary, O_CLOEXEC); /* 0600 */
    if (fd < 0)
        return err_errno(e, ERR_INTERNAL, "write %s", path);
    if (write(fd, text.data, text.len) != (ssize_t)text.len || rename(temporary, path) < 0) {
        (void)err_errno(e, ERR_INTERNAL, "write %s", path);
        (void)unlink(temporary); /* nothing more to do about it */
        return -1;
    }
    return 0;
}

int token_file_write(const char *path, const struct token_file *t, const struct paths_owner *owner,
                     struct err *e)
{
    unsigned group = owner->gid;
    int status = 0;

    if (geteuid() == owner->uid)
        return write_here(path, t, e);
    pid_t pid = fork();
    if (pid < 0)
        return err_errno(e, ERR_INTERNAL, "fork");
    if (pid == 0)
        _exit(confine_user(owner->uid, owner->gid, &group, 1, NULL) < 0 ||
              write_here(path, t, NULL) < 0);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (status != 0)
        return err_set(e, ERR_INTERNAL, "user %u cannot write %s", owner->uid, path);
    return 0;
}
