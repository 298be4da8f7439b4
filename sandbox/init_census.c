/* A kernel's processes can leave its group, its session and its family (fork twice, setsid). They
 * keep the environment they were given, so that is looked at too. Stopping first and looking again
 * until nobody new appears beats code that forks faster than we kill: a stopped process neither
 * forks nor loses its parent. Someone who sheds group, family and environment in one go is found
 * only by init_census_kill_all, when the sandbox's last kernel ends. */
#include "sandbox/init_census.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"

#define MAX_PROCESSES 32768u
#define LOOKS         8
#define MAX_ENVIRON   (256u * 1024)

struct process {
    pid_t pid, parent, group, session;
    char state;
    bool ours;
};

struct census {
    struct process *all; /* ascending by pid, as /proc lists them */
    size_t n;
};

static ssize_t read_proc(pid_t pid, const char *file, char *out, size_t size)
{
    char path[64] = "/proc/";
    char digits[16];
    size_t at = strlen(path), n = 0;
    for (pid_t rest = pid; rest; rest /= 10)
        digits[n++] = (char)('0' + rest % 10);
    while (n)
        path[at++] = digits[--n];
    path[at++] = '/';
    strcpy(path + at, file); /* "stat" or "environ" */
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t len = -1;
    for (size_t have = 0; fd >= 0 && have < size; have = (size_t)len) {
        ssize_t got = read(fd, out + have, size - have);
        if (got < 0)
            return -1;
        len = (ssize_t)have + got;
        if (got == 0)
            break;
    }
    return len;
}

/* "pid (name) S ppid pgrp session …"; the name is the process's own choice, so from the last ')'.
 */
static bool read_process(pid_t pid, struct process *ret)
{
    char text[512];
    ssize_t len = read_proc(pid, "stat", text, sizeof text - 1);
    if (len <= 0)
        return false;
    text[len] = '\0';
    char *at = strrchr(text, ')');
    if (!at || at[1] != ' ' || !at[2])
        return false;
    ret->pid = pid;
    ret->state = at[2];
    at += 3;
    ret->parent = (pid_t)strtol(at, &at, 10);
    ret->group = (pid_t)strtol(at, &at, 10);
    ret->session = (pid_t)strtol(at, &at, 10);
    ret->ours = false;
    return ret->state != 'Z' && ret->state != 'X';
}

static bool has_marker(pid_t pid, const char *marker, char *scratch)
{
    ssize_t len = read_proc(pid, "environ", scratch, MAX_ENVIRON);
    size_t marker_len = strlen(marker);
    const char *end = scratch + (len > 0 ? len : 0);
    for (const char *at = scratch; at < end;) {
        const char *nul = memchr(at, '\0', (size_t)(end - at));
        size_t n = (size_t)((nul ? nul : end) - at);
        if (n == marker_len && !memcmp(at, marker, n))
            return true;
        at += n + 1;
    }
    return false;
}

static void list_processes(struct census *c)
{
    CLEANUP_FD int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _Alignas(struct dirent64) char entries[8192];
    ssize_t len;
    c->n = 0;
    while (proc >= 0 && (len = getdents64(proc, entries, sizeof entries)) > 0) {
        for (ssize_t at = 0; at < len && c->n < MAX_PROCESSES;) {
            const struct dirent64 *d = (const struct dirent64 *)(const void *)(entries + at);
            at += d->d_reclen;
            pid_t pid = (pid_t)strtol(d->d_name, NULL, 10); /* 0 for what is no process */
            if (pid > 0 && pid != getpid() && read_process(pid, &c->all[c->n]))
                c->n++;
        }
    }
}

static const struct process *find(const struct census *c, pid_t pid)
{
    size_t low = 0, high = c->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (c->all[mid].pid == pid)
            return &c->all[mid];
        if (c->all[mid].pid < pid)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* Takes in the leader, its group and session, and every descendant of who is ours already. */
static void spread(struct census *c, pid_t leader)
{
    for (bool again = true; again;) { /* pids mostly ascend with age: two rounds */
        again = false;
        for (size_t i = 0; i < c->n; i++) {
            struct process *p = &c->all[i];
            const struct process *parent = p->ours ? NULL : find(c, p->parent);
            if (p->ours || (p->pid != leader && p->group != leader && p->session != leader &&
                            !(parent && parent->ours)))
                continue;
            p->ours = again = true;
        }
    }
}

/* Returns how many are ours; *ret_running: of them not yet stopped. */
static unsigned look(struct census *c, pid_t leader, const char *marker, char *scratch,
                     unsigned *ret_running)
{
    unsigned ours = 0, running = 0;
    list_processes(c);
    spread(c, leader); /* families first, that is cheap; then the environments of all others */
    for (size_t i = 0; i < c->n; i++)
        c->all[i].ours = c->all[i].ours || has_marker(c->all[i].pid, marker, scratch);
    spread(c, leader);
    for (size_t i = 0; i < c->n; i++) {
        ours += c->all[i].ours;
        running += c->all[i].ours && c->all[i].state != 'T';
    }
    *ret_running = running;
    return ours;
}

static void signal_ours(const struct census *c, pid_t leader, int sig)
{
    (void)kill(-leader, sig); /* at one stroke, also those made since the look; gone is fine */
    for (size_t i = 0; i < c->n; i++)
        if (c->all[i].ours)
            (void)kill(c->all[i].pid, sig);
}

static void *map(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

unsigned init_census_kill(pid_t leader, const char *marker)
{
    struct census c = { .all = map(MAX_PROCESSES * sizeof(struct process)) };
    char *scratch = map(MAX_ENVIRON);
    unsigned ours = 0, running = 1;
    for (int i = 0; c.all && scratch && i < LOOKS && running; i++) {
        ours = look(&c, leader, marker, scratch, &running);
        if (running)
            signal_ours(&c, leader, SIGSTOP);
    }
    if (ours)
        signal_ours(&c, leader, SIGKILL);
    if (c.all)
        (void)munmap(c.all, MAX_PROCESSES * sizeof(struct process));
    if (scratch)
        (void)munmap(scratch, MAX_ENVIRON);
    return ours;
}

unsigned init_census_hang_up(pid_t leader, const char *marker)
{
    struct census c = { .all = map(MAX_PROCESSES * sizeof(struct process)) };
    char *scratch = map(MAX_ENVIRON);
    unsigned ours = 0, running;
    if (c.all && scratch)
        ours = look(&c, leader, marker, scratch, &running);
    if (ours) {
        signal_ours(&c, leader, SIGHUP);
        signal_ours(&c, leader, SIGCONT);
    }
    if (c.all)
        (void)munmap(c.all, MAX_PROCESSES * sizeof(struct process));
    if (scratch)
        (void)munmap(scratch, MAX_ENVIRON);
    return ours;
}

unsigned init_census_kill_all(void)
{
    struct census c = { .all = map(MAX_PROCESSES * sizeof(struct process)) };
    (void)kill(-1, SIGKILL); /* the kernel does this under one lock: nobody can fork past it */
    if (!c.all)
        return 0;
    list_processes(&c);
    (void)munmap(c.all, MAX_PROCESSES * sizeof(struct process));
    return (unsigned)c.n;
}
