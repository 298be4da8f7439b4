#include "cmd/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "cmd/client_curl.h"

#define MAX_TRIES      6
#define SILENT_SECONDS 120L /* the service syncs a large file before it answers */
#define MAX_REPLY      (1u << 20)
#define MAX_ETAG       200
#define BUFFER_BYTES   (512L << 10)
#define PIPE_BYTES     4096 /* with room for so many a pipe does not block, once it is writable */

/* One try and what is kept from it for the next. */
struct transfer {
    struct client *client;
    struct progress *progress;
    int fd;
    off_t start;  /* where it stood; -1: it cannot be rewound */
    int64_t at;   /* bytes sent, or written */
    int64_t size; /* up: so many are sent; -1: not known */
    char etag[MAX_ETAG];
    CURL *curl;
    struct curl_slist *headers;
    struct buf reply; /* of an upload, and of what failed */
    int io_error;     /* of fd */
    bool is_up;
    bool is_joined;  /* the reply says that it goes on where we are */
    bool is_refused; /* and cannot be joined to what has come */
    bool may_retry;
    char error[CURL_ERROR_SIZE];
};

static void transfer_done_at(struct transfer *t)
{
    curl_slist_free_all(t->headers);
    curl_easy_cleanup(t->curl);
    buf_done(&t->reply);
}
#define CLEANUP_TRANSFER __attribute__((cleanup(transfer_done_at)))

static void transfer_init(struct transfer *t, struct client *c, int fd, struct progress *p)
{
    *t = (struct transfer){ .client = c, .progress = p, .fd = fd, .size = -1 };
    t->start = lseek(fd, 0, SEEK_CUR);
    buf_init(&t->reply, MAX_REPLY);
}

/* ---- what curl calls ---- */

static long status_of(const struct transfer *t)
{
    long status = 0;

    (void)curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static int on_progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    struct transfer *t = arg;
    int64_t known = t->at - down;

    if (t->progress->total < 0 && down_total > 0 && known >= 0 && !t->is_up)
        t->progress->total = t->progress->before + known + down_total;
    return progress_at(t->progress, t->at) ? 0 : 1;
}

/* A pipe may let us wait, and somebody press Ctrl-C meanwhile. */
static bool wait_for(struct transfer *t, short events)
{
    struct pollfd fds[] = { { .fd = t->fd, .events = events },
                            { .fd = t->progress->signal_fd, .events = POLLIN } };

    while (progress_at(t->progress, t->at))
        if (poll(fds, ARRAY_LEN(fds), 1000) > 0 && fds[0].revents)
            return true;
    return false;
}

static size_t on_room(char *room, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    size_t want = size * n;
    ssize_t got = -1;

    if (t->size >= 0 && (int64_t)want > t->size - t->at)
        want = (size_t)(t->size - t->at); /* it has grown meanwhile */
    errno = EINTR;
    while (got < 0 && errno == EINTR && wait_for(t, POLLIN))
        got = read(t->fd, room, want);
    if (got < 0 || (got == 0 && t->at < t->size)) {
        t->io_error = got < 0 ? errno : EIO; /* it has become shorter */
        return CURL_READFUNC_ABORT;
    }
    t->at += got;
    return (size_t)got;
}

static bool write_all(struct transfer *t, const char *data, size_t n)
{
    while (n > 0) {
        if (!wait_for(t, POLLOUT))
            return false;
        ssize_t written = write(t->fd, data, t->start < 0 && n > PIPE_BYTES ? PIPE_BYTES : n);
        if (written < 0 && errno != EINTR && errno != EAGAIN) {
            t->io_error = errno;
            return false;
        }
        if (written > 0) {
            data += written;
            n -= (size_t)written;
            t->at += written;
        }
    }
    return true;
}

/* From the beginning again. */
static bool rewound(struct transfer *t)
{
    if (t->at == 0)
        return true;
    if (t->start < 0 || lseek(t->fd, t->start, SEEK_SET) < 0)
        return false;
    t->at = 0;
    return true;
}

static size_t on_reply(char *data, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;

    buf_add(&t->reply, data, size * n);
    return t->reply.failed ? 0 : size * n;
}

static size_t on_bytes(char *data, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;

    if (status_of(t) != 200 && status_of(t) != 206)
        return on_reply(data, size, n, arg);
    return !t->is_refused && write_all(t, data, size * n) ? size * n : 0;
}

/* Between a reply's head and its body: does it go on where we are? */
static void begin_body(struct transfer *t)
{
    if (status_of(t) == 206)
        t->is_refused = !t->is_joined;
    else if (status_of(t) == 200 && t->at > 0)
        t->is_refused = !rewound(t) || ftruncate(t->fd, t->start) < 0;
}

/* A header's value, when it has that name. */
static bool value_of(struct slice line, const char *name, struct slice *ret)
{
    size_t n = strlen(name);

    if (line.len <= n || strncasecmp(line.data, name, n) != 0)
        return false;
    while (n < line.len && line.data[n] == ' ')
        n++;
    while (line.len > n && memchr("\r\n ", line.data[line.len - 1], 3))
        line.len--;
    *ret = slice_of(line.data + n, line.len - n);
    return true;
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    struct slice line = slice_of(data, size * n), value;
    char range[40];

    if (line.len <= 2)
        begin_body(t);
    if (status_of(t) == 206 && value_of(line, "content-range:", &value)) {
        (void)snprintf(range, sizeof range, "bytes %lld-", (long long)t->at);
        t->is_joined = value.len > strlen(range) && memcmp(value.data, range, strlen(range)) == 0;
    }
    if (status_of(t) == 200 && value_of(line, "etag:", &value)) {
        bool is_strong = value.len && value.len < sizeof t->etag && value.data[0] == '"';
        (void)snprintf(t->etag, sizeof t->etag, "%.*s", is_strong ? (int)value.len : 0, value.data);
    }
    return size * n;
}

/* ---- a try ---- */

static int prepare(struct transfer *t, const char *path, struct err *e)
{
    if (t->curl)
        curl_easy_reset(t->curl); /* the connection stays */
    else
        t->curl = curl_easy_init();
    curl_slist_free_all(t->headers);
    t->headers = NULL;
    buf_reset(&t->reply);
    t->is_joined = false;
    t->error[0] = '\0';
    if (!t->curl)
        return err_set(e, ERR_INTERNAL, "libcurl does not start");
    if (client_aim(t->client, t->curl, path, SILENT_SECONDS, &t->headers, e) < 0)
        return -1;
    t->headers = curl_slist_append(t->headers, "Expect:");
    curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(t->curl, CURLOPT_ERRORBUFFER, t->error);
    curl_easy_setopt(t->curl, CURLOPT_BUFFERSIZE, BUFFER_BYTES);
    curl_easy_setopt(t->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(t->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(t->curl, CURLOPT_XFERINFODATA, t);
    return 0;
}

static int broke_off(struct transfer *t, CURLcode code, struct err *e)
{
    if (t->progress->caught)
        return err_set(e, ERR_GONE, "it was interrupted");
    if (t->io_error)
        return err_set(e, ERR_INTERNAL, "%s: %s",
                       t->is_up ? "it cannot be read" : "what comes cannot be written",
                       strerror(t->io_error));
    if (t->is_refused)
        return err_set(e, ERR_CONFLICT,
                       "the connection broke off, and what has come cannot be taken back");
    t->may_retry = true;
    return client_broke_off(t->client, code, t->error, e);
}

static int perform(struct transfer *t, struct err *e)
{
    t->may_retry = false;
    curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, t->headers);
    CURLcode code = curl_easy_perform(t->curl);
    long status = status_of(t);
    if (status >= 400) { /* an upload may have been cut short by it */
        t->may_retry = status == 503;
        return client_api_error(t->client, buf_slice(&t->reply), status, e);
    }
    if (code != CURLE_OK || status < 200)
        return broke_off(t, code, e);
    return status < 300 ? 0 : client_api_error(t->client, buf_slice(&t->reply), status, e);
}

/* Waits before the next try: half a second, then longer. False: there shall be none. */
static bool pause_before(struct transfer *t, int tries)
{
    const struct timespec step = { .tv_nsec = 100000000 };

    if (!t->may_retry || tries >= MAX_TRIES)
        return false;
    for (int n = 0; n < 5 << (tries > 3 ? 3 : tries - 1); n++) {
        (void)nanosleep(&step, NULL); /* shorter does no harm */
        if (!progress_at(t->progress, t->at))
            return false;
    }
    return true;
}

/* ---- up ---- */

static int try_up(struct transfer *t, const struct transfer_up *up, struct err *e)
{
    if (prepare(t, up->path, e) < 0)
        return -1;
    t->headers = curl_slist_append(t->headers, "Content-Type: application/octet-stream");
    t->headers = curl_slist_append(t->headers, "Accept: application/json");
    if (up->keep)
        t->headers = curl_slist_append(t->headers, "If-None-Match: *");
    curl_easy_setopt(t->curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(t->curl, CURLOPT_UPLOAD_BUFFERSIZE, BUFFER_BYTES);
    curl_easy_setopt(t->curl, CURLOPT_READFUNCTION, on_room);
    curl_easy_setopt(t->curl, CURLOPT_READDATA, t);
    curl_easy_setopt(t->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)t->size);
    curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, on_reply);
    return perform(t, e);
}

int transfer_up(struct client *c, const struct transfer_up *up, json_t **ret, struct err *e)
{
    CLEANUP_TRANSFER struct transfer t;
    int rc, tries = 0;

    transfer_init(&t, c, up->fd, up->progress);
    t.curl = up->line ? *up->line : NULL;
    t.is_up = true;
    t.size = up->bytes;
    while ((rc = try_up(&t, up, e)) < 0 && (t.at == 0 || (t.start >= 0 && !up->keep)) &&
           pause_before(&t, ++tries) && rewound(&t))
        ;
    if (up->line)
        *up->line = TAKE(t.curl);
    if (rc < 0)
        return -1;
    progress_add(up->progress, t.at);
    if (ret && !(*ret = json_loadb(t.reply.data ? t.reply.data : "", t.reply.len, 0, NULL)))
        return err_set(e, ERR_INTERNAL, "%s answered something that is no JSON: is that Kernelhub?",
                       client_url(c));
    return 0;
}

void transfer_hang_up(void *line)
{
    curl_easy_cleanup(line);
}

/* ---- down ---- */

static int try_down(struct transfer *t, const char *path, struct err *e)
{
    char line[MAX_ETAG + 20];

    if (prepare(t, path, e) < 0)
        return -1;
    curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(t->curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(t->curl, CURLOPT_HEADERFUNCTION, on_header);
    if (t->at > 0 && t->etag[0]) {
        (void)snprintf(line, sizeof line, "Range: bytes=%lld-", (long long)t->at);
        t->headers = curl_slist_append(t->headers, line);
        (void)snprintf(line, sizeof line, "If-Range: %s", t->etag);
        t->headers = curl_slist_append(t->headers, line);
    }
    return perform(t, e);
}

int transfer_down(struct client *c, const struct transfer_down *down, int64_t *ret_bytes,
                  struct err *e)
{
    CLEANUP_TRANSFER struct transfer t;
    int64_t most = 0;
    int rc, tries = 0;

    transfer_init(&t, c, down->fd, down->progress);
    if (fcntl(down->fd, F_GETFL) & O_APPEND)
        t.start = -1; /* where it stands is not where it is written to, and others may append too */
    while ((rc = try_down(&t, down->path, e)) < 0) {
        if (t.at > most) {
            most = t.at;
            tries = 0;
        }
        if (!pause_before(&t, ++tries))
            return -1;
    }
    progress_add(down->progress, t.at);
    *ret_bytes = t.at;
    return 0;
}
