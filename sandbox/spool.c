#include "sandbox/spool.h"

#include <czmq.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STAGE_BYTES (128u << 10) /* frames are small: written together */

struct spool {
    int fd, bell;
    uint64_t max_bytes;
    zactor_t *thread;
    char stage[STAGE_BYTES];
};

int spool_open(const char *path, unsigned uid, uint64_t max_bytes, struct spool **ret,
               struct err *e)
{
    CLEANUP(spool_free) struct spool *s = calloc(1, sizeof *s);
    assert(s);
    s->fd = s->bell = -1;
    s->max_bytes = max_bytes;
    (void)unlink(path); /* of a warden that died between the two calls below */
    s->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (s->fd < 0 || fchown(s->fd, uid, uid) < 0 || unlink(path) < 0)
        return err_errno(e, ERR_INTERNAL, "make the spool '%s'", path);
    s->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->bell < 0)
        return err_errno(e, ERR_INTERNAL, "make an eventfd");
    *ret = TAKE(s);
    return 0;
}

uint64_t spool_max_bytes(const struct spool *s)
{
    return s->max_bytes;
}

/* The thread's side */

/* Reads or writes all of it, in two parts when it goes round the ring's end. Returns 0 or errno. */
static int transfer(struct spool *s, bool out, uint64_t at, char *data, size_t len)
{
    while (len > 0) {
        uint64_t place = at % s->max_bytes;
        size_t part = s->max_bytes - place < len ? (size_t)(s->max_bytes - place) : len;
        ssize_t n =
            out ? pwrite(s->fd, data, part, (off_t)place) : pread(s->fd, data, part, (off_t)place);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO;
        at += (uint64_t)n;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

static int write_all(struct spool *s, const struct spool_job *job)
{
    uint64_t at = job->at;
    size_t staged = 0;
    for (size_t i = 0; i < job->n; i++) {
        const char *from = job->iov[i].iov_base;
        for (size_t left = job->iov[i].iov_len; left > 0;) {
            size_t part = STAGE_BYTES - staged < left ? STAGE_BYTES - staged : left;
            memcpy(s->stage + staged, from, part);
            from += part;
            left -= part;
            staged += part;
            if (staged < STAGE_BYTES)
                break;
            int error = transfer(s, true, at, s->stage, staged);
            if (error)
                return error;
            at += staged;
            staged = 0;
        }
    }
    return transfer(s, true, at, s->stage, staged);
}

static void run(struct spool *s, struct spool_job *job)
{
    switch (job->what) {
    case SPOOL_WRITE:
        job->error = write_all(s, job);
        return;
    case SPOOL_READ:
        job->error = transfer(s, false, job->at, job->data, job->len);
        return;
    case SPOOL_EMPTY:
        job->error = ftruncate(s->fd, 0) < 0 ? errno : 0;
        return;
    }
}

static void actor(zsock_t *pipe, void *arg)
{
    struct spool *s = arg;
    const uint64_t one = 1;
    struct spool_job *job;
    int n;
    (void)zsock_signal(pipe, 0); /* zactor_new waits for it */
    while ((n = zmq_recv(zsock_resolve(pipe), &job, sizeof job, 0)) == sizeof job ||
           (n < 0 && errno == EINTR)) {
        if (n < 0)
            continue;
        run(s, job);
        (void)zmq_send(zsock_resolve(pipe), &job, sizeof job, 0); /* fails only at the end */
        ssize_t rung = write(s->bell, &one, sizeof one);
        assert(rung == sizeof one); /* fails only at 2^64 rings */
    }
    /* "$TERM" came (it is shorter), or ZeroMQ is ending */
}

/* The loop's side */

void spool_start(struct spool *s)
{
    s->thread = zactor_new(actor, s);
    assert(s->thread); /* no thread, no memory */
}

void spool_free(struct spool *s)
{
    if (!s)
        return;
    zactor_destroy(&s->thread);
    close_fd_at(&s->fd);
    close_fd_at(&s->bell);
    free(s);
}

void spool_hand(struct spool *s, struct spool_job *job)
{
    int rc = zmq_send(zsock_resolve(s->thread), &job, sizeof job, 0);
    assert(rc == sizeof job); /* one at a time never fills the pipe */
}

bool spool_take(struct spool *s)
{
    struct spool_job *job;
    uint64_t rings;
    ssize_t n = read(s->bell, &rings, sizeof rings);
    if (n < 0)
        return false;
    return zmq_recv(zsock_resolve(s->thread), &job, sizeof job, ZMQ_DONTWAIT) == sizeof job;
}

void spool_wait(struct spool *s)
{
    struct spool_job *job;
    while (zmq_recv(zsock_resolve(s->thread), &job, sizeof job, 0) < 0 && errno == EINTR)
        ;
}

int spool_bell(const struct spool *s)
{
    return s->bell;
}
