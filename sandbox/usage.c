#include "sandbox/usage.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/json.h"

enum figure { CPU, MEMORY, PEAK, LIMIT, PIDS, OOM, N_FIGURES };

/* Where each figure stands: the directory's name in the spec, the file, the word before the number (NULL: the
 * file is the number), and what it is divided by. Sources: the kernel's cgroup-v1/memory.rst, cpuacct.rst
 * and cgroup-v2.rst. */
struct place {
    const char *dir, *file, *word;
    unsigned divisor;
};
static const struct place PLACES[2][N_FIGURES] = {
    {
        [CPU] = { "cpu", "cpuacct.usage", NULL, 1000 },
        [MEMORY] = { "memory", "memory.usage_in_bytes", NULL, 1 },
        [PEAK] = { "memory", "memory.max_usage_in_bytes", NULL, 1 },
        [LIMIT] = { "memory", "memory.limit_in_bytes", NULL, 1 },
        [PIDS] = { "pids", "pids.current", NULL, 1 },
        [OOM] = { "memory", "memory.oom_control", "oom_kill ", 1 },
    },
    {
        [CPU] = { "cpu", "cpu.stat", "usage_usec ", 1 },
        [MEMORY] = { "memory", "memory.current", NULL, 1 },
        [PEAK] = { "memory", "memory.peak", NULL, 1 },
        [LIMIT] = { "memory", "memory.max", NULL, 1 },
        [PIDS] = { "pids", "pids.current", NULL, 1 },
        [OOM] = { "memory", "memory.events", "oom_kill ", 1 },
    },
};

struct usage {
    const struct place *places;
    int fds[N_FIGURES];
};

static int open_file(struct slice spec, const struct place *p)
{
    CLEANUP_BUF struct buf path = BUF_INIT(4096);
    struct slice dir;
    if (!json_member_string(spec, p->dir, &dir))
        return -1;
    json_unescape(&path, dir);
    buf_addf(&path, "/%s", p->file);
    return path.failed ? -1 : open(path.data, O_RDONLY | O_CLOEXEC);
}

struct usage *usage_new(struct slice spec)
{
    struct usage *u = calloc(1, sizeof *u);
    assert(u);
    int64_t version = 2;
    (void)json_member_int(spec, "version", &version); /* absent: 2 */
    u->places = PLACES[version == 1 ? 0 : 1];
    for (size_t i = 0; i < N_FIGURES; i++)
        u->fds[i] = open_file(spec, &u->places[i]);
    return u;
}

void usage_free(struct usage *u)
{
    if (!u)
        return;
    for (size_t i = 0; i < N_FIGURES; i++)
        close_fd_at(&u->fds[i]);
    free(u);
}

static uint64_t read_figure(struct usage *u, enum figure which)
{
    char text[1024];
    ssize_t n = u->fds[which] < 0 ? -1 : pread(u->fds[which], text, sizeof text - 1, 0);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    const char *at = text, *word = u->places[which].word;
    if (word) {
        /* at a line's beginning: "oom_kill " must not match inside "xoom_kill " */
        while (at && strncmp(at, word, strlen(word)) != 0) {
            at = strchr(at, '\n');
            at = at ? at + 1 : NULL;
        }
        at = at ? at + strlen(word) : "0";
    }
    uint64_t v = strtoull(at, NULL, 10); /* "max" is 0: no limit */
    return v >> 62 ? 0 : v / u->places[which].divisor;
}

void usage_read(struct usage *u, struct usage_sample *ret)
{
    *ret = (struct usage_sample){
        .cpu_us = read_figure(u, CPU),
        .memory_bytes = read_figure(u, MEMORY),
        .memory_peak_bytes = read_figure(u, PEAK),
        .memory_limit_bytes = read_figure(u, LIMIT),
        .pids = read_figure(u, PIDS),
        .oom_kills = read_figure(u, OOM),
    };
    /* v2 before Linux 5.19 has no memory.peak */
    if (ret->memory_peak_bytes < ret->memory_bytes)
        ret->memory_peak_bytes = ret->memory_bytes;
}

uint64_t usage_read_cpu_us(struct usage *u)
{
    return read_figure(u, CPU);
}

uint64_t usage_read_oom_kills(struct usage *u)
{
    return read_figure(u, OOM);
}

void usage_write(struct buf *out, const struct usage_sample *s)
{
    const struct {
        const char *name;
        uint64_t value;
    } members[] = {
        { "cpu_us", s->cpu_us },
        { "memory_bytes", s->memory_bytes },
        { "memory_peak_bytes", s->memory_peak_bytes },
        { "memory_limit_bytes", s->memory_limit_bytes },
        { "pids", s->pids },
        { "oom_kills", s->oom_kills },
    };
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        buf_addf(out, "%s\"%s\":%llu", i ? "," : "", members[i].name,
                 (unsigned long long)members[i].value);
}
