/* kernelhub-warden: binds as root, hears from the keeper which container is its own, gives everything up, serves. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/json.h"
#include "base/log.h"
#include "sandbox/warden.h"
#include "sandbox/warden_confine.h"
#include "sandbox/warden_notes.h"

#define KEEPER_FD     3
#define IDS           65536u
#define INIT_BACKLOG  4 /* PID 1 dials once; what else dials may wait */
#define LINK_BACKLOG  8
#define MAX_SPOOL_MIB 1024u

struct options {
    struct uuid sandbox_id, epoch;
    const char *dir, *keeper, *kernels_dir, *spool, *notes;
    unsigned uid, gid, hub_gid, spool_mib;
};

static bool parse_id(const char *text, unsigned *ret)
{
    char *end;
    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    *ret = (unsigned)v;
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && v < UINT32_MAX;
}

/* False: its value makes no sense. */
static bool take_option(struct options *o, int c)
{
    switch (c) {
    case 's':
        return uuid_parse(slice_str(optarg), &o->sandbox_id);
    case 'd':
        o->dir = optarg;
        return true;
    case 'u':
        return parse_id(optarg, &o->uid);
    case 'g':
        return parse_id(optarg, &o->gid);
    case 'h':
        return parse_id(optarg, &o->hub_gid);
    case 'k':
        o->keeper = optarg;
        return true;
    case 'e':
        return uuid_parse(slice_str(optarg), &o->epoch);
    case 'K':
        o->kernels_dir = optarg;
        return true;
    case 'S':
        o->spool = optarg;
        return true;
    case 'N':
        o->notes = optarg;
        return true;
    case 'M':
        return parse_id(optarg, &o->spool_mib) && o->spool_mib <= MAX_SPOOL_MIB;
    default:
        return false;
    }
}

static int parse(int argc, char **argv, struct options *o, struct err *e)
{
    static const struct option LONG[] = {
        { "sandbox", required_argument, NULL, 's' },
        { "dir", required_argument, NULL, 'd' },
        { "uid", required_argument, NULL, 'u' },
        { "gid", required_argument, NULL, 'g' },
        { "hub-gid", required_argument, NULL, 'h' },
        { "keeper", required_argument, NULL, 'k' },
        { "epoch", required_argument, NULL, 'e' },
        { "kernels-dir", required_argument, NULL, 'K' },
        { "spool", required_argument, NULL, 'S' },
        { "notes", required_argument, NULL, 'N' },
        { "spool-mib", required_argument, NULL, 'M' },
        { NULL, 0, NULL, 0 },
    };
    unsigned seen = 0;
    int c;
    *o = (struct options){ .kernels_dir = "/run/kernel" };
    while ((c = getopt_long(argc, argv, "", LONG, NULL)) != -1) {
        if (!take_option(o, c))
            return err_set(e, ERR_INVALID, "a bad option");
        if (c >= 'a')
            seen |= 1u << (c - 'a');
    }
    unsigned all = 0;
    for (const char *s = "sdughke"; *s; s++)
        all |= 1u << (*s - 'a');
    if (seen != all || optind != argc)
        return err_set(
            e, ERR_INVALID,
            "usage: kernelhub-warden --sandbox UUID --dir DIR --uid N --gid N --hub-gid N "
            "--keeper SOCKET --epoch UUID [--kernels-dir DIR] [--spool FILE --spool-mib N] "
            "[--notes FILE], "
            "with the keeper on fd 3");
    return 0;
}

/* A listening socket at dir/name with exactly this owner and mode, before anybody can dial it. */
static int listen_at(const char *dir, const char *name, int type, unsigned uid, unsigned gid,
                     mode_t mode, int backlog, int *ret, struct err *e)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int n = snprintf(a.sun_path, sizeof a.sun_path, "%s/%s", dir, name);
    CLEANUP_FD int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || n < 0 || (size_t)n >= sizeof a.sun_path)
        return err_set(e, ERR_INTERNAL, "no socket for %s", name);
    (void)unlink(a.sun_path); /* of an earlier warden, if any */
    mode_t before = umask(0777);
    int rc = bind(fd, (const struct sockaddr *)&a, sizeof a);
    (void)umask(before); /* cannot fail */
    if (rc < 0 || lchown(a.sun_path, uid, gid) < 0 || chmod(a.sun_path, mode) < 0 ||
        listen(fd, backlog) < 0)
        return err_errno(e, ERR_INTERNAL, "listen at %s", name);
    *ret = TAKE_FD(fd);
    return 0;
}

static int say(const char *text, struct err *e)
{
    if (send(KEEPER_FD, text, strlen(text), MSG_NOSIGNAL) < 0)
        return err_errno(e, ERR_INTERNAL, "talk to the keeper");
    return 0;
}

/* Waits for the keeper's packet. Its end before that is ours: nobody knows this container. */
static int hear_container(pid_t *ret_pid, struct usage **ret_usage, struct err *e)
{
    char text[16384];
    struct slice cgroup = SLICE_LITERAL("{}");
    int64_t pid = 0;
    struct pollfd p = { .fd = KEEPER_FD, .events = POLLIN };
    while (poll(&p, 1, -1) < 0 && errno == EINTR)
        ;
    ssize_t n = recv(KEEPER_FD, text, sizeof text, 0);
    if (n <= 0)
        return err_set(e, ERR_INTERNAL, "the keeper left before it named the container");
    struct slice json = slice_of(text, (size_t)n);
    if (!json_valid(json) || !json_member_int(json, "pid", &pid) || pid <= 0)
        return err_set(e, ERR_INTERNAL, "the keeper named no pid");
    (void)json_member(json, "cgroup", &cgroup); /* absent: all figures are 0 */
    *ret_pid = (pid_t)pid;
    *ret_usage = usage_new(cgroup);
    return 0;
}

/* Without one the warden is still a warden, with less room. */
static struct spool *open_spool(const struct options *o)
{
    struct spool *spool = NULL;
    struct err e = ERR_INIT;
    if (o->spool && o->spool_mib &&
        spool_open(o->spool, o->uid, (uint64_t)o->spool_mib << 20, &spool, &e) < 0)
        log_warning("event=no_spool reason=%s", log_quote(slice_str(e.text)));
    return spool;
}

/* Without them the kernels end with this warden, should it die. */
static struct warden_notes *open_notes(const struct options *o)
{
    struct warden_notes *notes = NULL;
    struct err e = ERR_INIT;
    if (o->notes && warden_notes_open(o->notes, o->uid, &notes, &e) < 0)
        log_warning("event=no_notes reason=%s", log_quote(slice_str(e.text)));
    return notes;
}

static int serve(const struct options *o, struct err *e)
{
    char wall[4096], channels[4096];
    CLEANUP_FD int link_fd = -1;
    CLEANUP_FD int init_fd = -1;
    CLEANUP(usage_free) struct usage *usage = NULL;
    CLEANUP(spool_free) struct spool *spool = open_spool(o);
    CLEANUP(warden_notes_free) struct warden_notes *notes = open_notes(o);
    struct warden_setup setup = { .sandbox_id = o->sandbox_id,
                                  .epoch = o->epoch,
                                  .first_uid = o->uid >= IDS ? o->uid - (IDS - 1) : o->uid,
                                  .last_uid = o->uid,
                                  .keeper_fd = KEEPER_FD,
                                  .channels_dir = channels,
                                  .kernels_dir = o->kernels_dir,
                                  .keeper_path = o->keeper };
    (void)snprintf(wall, sizeof wall, "%s/wall", o->dir);
    (void)snprintf(channels, sizeof channels, "%s/channels", o->dir);
    if (listen_at(o->dir, "link.sock", SOCK_STREAM, o->uid, o->hub_gid, 0660, LINK_BACKLOG,
                  &link_fd, e) < 0 ||
        listen_at(wall, "init.sock", SOCK_SEQPACKET, o->uid, o->gid, 0666, INIT_BACKLOG, &init_fd,
                  e) < 0 ||
        warden_leave_network(e) < 0 || say("listening", e) < 0 ||
        hear_container(&setup.init_pid, &usage, e) < 0 ||
        warden_confine(o->dir, o->keeper, o->uid, o->gid, spool, e) < 0)
        return -1;
    setup.usage = usage;
    setup.spool = spool;
    setup.notes = notes;
    setup.link_fd = TAKE_FD(link_fd);
    setup.init_fd = TAKE_FD(init_fd);
    CLEANUP(warden_free) struct warden *w = warden_new(&setup);
    if (say("ready", e) < 0)
        return -1;
    log_info("event=warden_ready sandbox=%s epoch=%s init_pid=%d", o->sandbox_id.text,
             o->epoch.text, (int)setup.init_pid);
    return warden_run(w) < 0 ? err_set(e, ERR_INTERNAL, "the spool cannot be read") : 0;
}

int main(int argc, char **argv)
{
    struct options o;
    struct err e = ERR_INIT;
    log_open("warden", LOG_LEVEL_INFO);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN); /* a terminal's ^C is for the supervisor */
    (void)signal(SIGHUP, SIG_IGN);
    if (sodium_init() < 0)
        return 1;
    if (parse(argc, argv, &o, &e) < 0 || serve(&o, &e) < 0) {
        log_error("event=failed reason=%s", log_quote(slice_str(e.text)));
        return 1;
    }
    return 0;
}
