/* An install, from the wish to its end:
 *
 *   QUEUED ──► PREPARING ──► BUILDING ──(the keeper has answered)──► ENDING ──► on_end
 *              a thread:      the keeper; each 300 ms a thread        a thread: the rest of the log,
 *              files, log     reads what the builder has said         what is installed now
 *
 * At most one of a user and two in all are past QUEUED. Whoever asked may leave: nothing ends by that. */
#include "kernelhub/packages_internal.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/log.h"
#include "kernelhub/allow_list.h"
#include "kernelhub/hub_internal.h"
#include "kernelhub/keeper_client.h"
#include "protocol/text_cut.h"

#define MAX_RUNNING      2
#define LOOK_MS          300
#define SILENCE_MS       10000 /* then a record without text says that it goes on */
#define PIECE_BYTES      (64u * 1024)
#define MAX_PROGRESS     (2u * 1024 * 1024) /* of text in records; its end is in the result */
#define TAIL_BYTES       (16u * 1024)
#define MAKE_MS          120000 /* what a build takes beside its own time */
#define MAX_TEXT_BYTES   (PACKAGES_MAX_REQUESTED * 2u * (REQUIREMENT_MAX_BYTES + 1))
#define MAX_CONSTRAINTS  (128u * 1024)
#define MAX_RESULT_BYTES (16u * 1024 * 1024)

static void start_next(struct packages *p);

/* ---- memory ---- */

static void install_free(struct package_install *i)
{
    if (i->timer >= 0)
        loop_timer_end(i->owner->hub->loop, i->timer);
    close_fd_at(&i->log);
    packages_list_done(&i->before);
    packages_list_done(&i->after);
    buf_done(&i->requested);
    buf_done(&i->requirements);
    buf_done(&i->piece);
    buf_done(&i->tail);
    free(i->words);
    free(i);
}

struct packages *packages_new(struct hub *h)
{
    struct packages *p = zmalloc(sizeof *p);
    struct err e = ERR_INIT;
    p->hub = h;
    p->timer = -1;
    p->installs = zlistx_new();
    if (allow_list_new(REQUIREMENT_PYTHON, config_name(CONFIG_PACKAGES_PYTHON),
                       config_text(h->config, CONFIG_PACKAGES_PYTHON), &p->python, &e) < 0 ||
        allow_list_new(REQUIREMENT_NPM, config_name(CONFIG_PACKAGES_JAVASCRIPT),
                       config_text(h->config, CONFIG_PACKAGES_JAVASCRIPT), &p->npm, &e) < 0)
        log_error("nothing can be installed: %s", e.text); /* config_check has seen to it */
    return p;
}

void packages_free(struct packages *p)
{
    if (!p)
        return;
    if (p->timer >= 0)
        loop_timer_end(p->hub->loop, p->timer);
    for (struct package_install *i; (i = zlistx_first(p->installs));) {
        (void)zlistx_detach_cur(p->installs); /* i itself */
        install_free(i);
    }
    zlistx_destroy(&p->installs);
    allow_list_free(p->python);
    allow_list_free(p->npm);
    free(p);
}

/* ---- what is said ---- */

static void say(struct package_install *i, struct buf *record)
{
    i->said_ms = zclock_mono();
    if (!i->is_left && !record->failed)
        i->listener.on_record(i->listener.arg, buf_slice(record));
}

static void say_progress(struct package_install *i, struct slice text)
{
    CLEANUP_BUF struct buf record = BUF_INIT(8 * PIECE_BYTES);
    buf_add_str(&record, "{\"type\":\"progress\",\"text\":");
    json_quote(&record, text);
    buf_addf(&record, ",\"elapsed_ms\":%lld}", (long long)(zclock_mono() - i->begun_ms));
    say(i, &record);
}

static void say_queued(struct package_install *i, size_t position)
{
    CLEANUP_BUF struct buf record = BUF_INIT(100);
    buf_addf(&record, "{\"type\":\"queued\",\"position\":%zu}", position);
    say(i, &record);
}

static void keep_tail(struct package_install *i, struct slice text)
{
    buf_add_slice(&i->tail, text);
    if (i->tail.len > TAIL_BYTES) {
        buf_drop(&i->tail, i->tail.len - TAIL_BYTES);
        i->is_truncated = true;
    }
}

/* What a thread has read. The end of a torn character waits for its rest. */
static void take_piece(struct package_install *i, bool is_last)
{
    struct slice text = buf_slice(&i->piece);
    if (!is_last)
        text.len -= text_cut_incomplete(text);
    keep_tail(i, text);
    if (text.len && i->told < MAX_PROGRESS) {
        i->told += text.len;
        say_progress(i, text);
    }
    buf_drop(&i->piece, text.len);
}

/* ---- the end ---- */

static void write_installed(const struct package_install *i, struct buf *out)
{
    const char *comma = "";
    for (size_t n = 0; n < i->after.n; n++) {
        const struct packages_entry *now = &i->after.items[n];
        const struct packages_entry *was = packages_list_find(&i->before, now->name);
        if (was && strcmp(was->version, now->version) == 0)
            continue;
        /* both are of requirement.h's grammar: nothing to escape */
        buf_addf(out, "%s{\"name\":\"%s\",\"version\":\"%s\",\"change\":\"%s\"", comma, now->name,
                 now->version, was ? "updated" : "added");
        if (was)
            buf_addf(out, ",\"previous\":\"%s\"", was->version);
        buf_add_char(out, '}');
        comma = ",";
    }
}

static void write_removed(const struct package_install *i, struct buf *out)
{
    const char *comma = "";
    for (size_t n = 0; n < i->before.n; n++) {
        const struct packages_entry *was = &i->before.items[n];
        if (packages_list_find(&i->after, was->name))
            continue;
        buf_addf(out, "%s{\"name\":\"%s\",\"version\":\"%s\"}", comma, was->name, was->version);
        comma = ",";
    }
}

static void write_message(const struct package_install *i, struct buf *out)
{
    const struct config *c = i->owner->hub->config;
    char text[200] = "";
    if (strcmp(i->status, "error") == 0)
        (void)snprintf(text, sizeof text,
                       "the installer ended with exit code %lld: its output says why",
                       (long long)i->exit_code);
    else if (strcmp(i->status, "timeout") == 0)
        (void)snprintf(text, sizeof text, "it took longer than %lld seconds (%s)",
                       (long long)config_number(c, CONFIG_PACKAGES_TIMEOUT),
                       config_name(CONFIG_PACKAGES_TIMEOUT));
    else if (strcmp(i->status, "oom") == 0)
        (void)snprintf(text, sizeof text, "it needed more memory than %lld bytes (%s)",
                       (long long)config_number(c, CONFIG_PACKAGES_MEMORY),
                       config_name(CONFIG_PACKAGES_MEMORY));
    else if (strcmp(i->status, "too_large") == 0)
        (void)snprintf(text, sizeof text, "the packages would be above %lld bytes (%s)",
                       (long long)config_number(c, CONFIG_PACKAGES_MAX_BYTES),
                       config_name(CONFIG_PACKAGES_MAX_BYTES));
    else if (strcmp(i->status, "disk_full") == 0)
        (void)snprintf(text, sizeof text, "the service's disk has fewer than %lld bytes free (%s)",
                       (long long)config_number(c, CONFIG_LIMITS_MIN_FREE),
                       config_name(CONFIG_LIMITS_MIN_FREE));
    json_quote_str(out, text[0] ? text : NULL);
}

static void write_result(struct package_install *i, struct buf *out)
{
    buf_addf(out, "{\"language\":\"%s\",\"status\":\"%s\",\"requested\":", i->language, i->status);
    buf_add_slice(out, buf_slice(&i->requested));
    buf_add_str(out, ",\"installed\":[");
    write_installed(i, out);
    buf_add_str(out, "],\"removed\":[");
    write_removed(i, out);
    buf_add_str(out, "],\"message\":");
    write_message(i, out);
    buf_add_str(out, ",\"output\":");
    json_quote(out, i->tail.len == 0 && i->words ? slice_str(i->words) : buf_slice(&i->tail));
    buf_addf(out, ",\"truncated\":%s,\"duration_ms\":%lld}", i->is_truncated ? "true" : "false",
             (long long)(zclock_mono() - i->begun_ms));
}

/* Frees it; the next one begins. */
static void end(struct package_install *i, const struct err *e)
{
    struct packages *p = i->owner;
    struct packages_listener listener = i->listener;
    CLEANUP_BUF struct buf result = BUF_INIT(MAX_RESULT_BYTES);
    struct err own = ERR_INIT;
    bool is_heard = !i->is_left;
    if (e)
        own = *e;
    else
        write_result(i, &result);
    if (result.failed)
        (void)err_set(&own, ERR_INTERNAL, "the result is too large");
    const char *status = own.code == ERR_NONE ? i->status : err_name(own.code);
    metric_counter_add(p->hub->installs_total, status, i->language, 1);
    log_info("install=%s user=%s language=%s status=%s", i->id.text, i->user->id.text, i->language,
             status);
    (void)zlistx_detach(p->installs, i->handle); /* i itself */
    install_free(i);
    if (is_heard)
        listener.on_end(listener.arg, own.code == ERR_NONE ? NULL : &own, buf_slice(&result));
    start_next(p);
}

/* ---- in a thread ---- */

static int run_prepare(void *ctx, struct tree *t, struct err *e)
{
    struct package_install *i = ctx;
    CLEANUP_BUF struct buf constraints = BUF_INIT(MAX_CONSTRAINTS);
    if (strcmp(i->language, "python") == 0)
        allow_list_write_constraints(i->owner->python, &constraints);
    struct err unread = ERR_INIT;
    if (packages_read(t, i->language, &i->before, &unread) < 0)
        log_warning("install=%s what is there cannot be read: %s", i->id.text, unread.text);
    return packages_prepare(t, &i->id, buf_slice(&i->requirements), buf_slice(&constraints),
                            &i->log, e);
}

/* What was said since the last look; of a flood the end, once it is over. */
static int run_look(void *ctx, struct tree *t, struct err *e)
{
    struct package_install *i = ctx;
    struct stat st;
    char *room = buf_room(&i->piece, PIECE_BYTES);
    if (i->told >= MAX_PROGRESS && fstat(i->log, &st) == 0 &&
        (uint64_t)st.st_size > i->offset + TAIL_BYTES) {
        i->offset = (uint64_t)st.st_size - TAIL_BYTES;
        i->is_truncated = true;
    }
    ssize_t n = room ? pread(i->log, room, PIECE_BYTES, (off_t)i->offset) : 0;
    if (n < 0)
        return err_errno(e, ERR_INTERNAL, "read the log of the build");
    i->piece.len += (size_t)n;
    i->offset += (size_t)n;
    i->is_at_end = n < (ssize_t)PIECE_BYTES;
    return 0;
}

static int run_after(void *ctx, struct tree *t, struct err *e)
{
    struct package_install *i = ctx;
    return packages_read(t, i->language, &i->after, e);
}

/* ---- its way, in the loop ---- */

static void drop(void *ctx)
{
    struct package_install *i = ctx;
    i->job = NULL; /* the hub ends: packages_free has the rest */
}

static int submit(struct package_install *i, int (*run)(void *, struct tree *, struct err *),
                  void (*done)(void *, const struct err *), struct err *e)
{
    const struct files_work work = { .run = run,
                                     .done = done,
                                     .drop = drop,
                                     .ctx = i,
                                     .is_piece = i->state != INSTALL_PREPARING,
                                     .is_change = true };
    return files_submit(i->owner->hub, i->user, &work, &i->job, e);
}

static void done_after(void *ctx, const struct err *e)
{
    struct package_install *i = ctx;
    i->job = NULL;
    end(i, e);
}

static void read_rest(struct package_install *i);

static void done_look(void *ctx, const struct err *e)
{
    struct package_install *i = ctx;
    i->job = NULL;
    if (e) {
        log_warning("install=%s %s", i->id.text, e->text);
        i->is_at_end = true;
    }
    bool is_last = i->state == INSTALL_ENDING && i->is_at_end;
    take_piece(i, is_last);
    if (i->is_built && i->state == INSTALL_BUILDING) {
        i->state = INSTALL_ENDING; /* what was read is of before its end */
        i->is_at_end = false;
    }
    if (i->is_built)
        read_rest(i);
}

/* After the keeper's answer, while no thread has it. */
static void read_rest(struct package_install *i)
{
    struct err e = ERR_INIT;
    if (i->error.code != ERR_NONE)
        end(i, &i->error);
    else if ((i->is_at_end ? submit(i, run_after, done_after, &e)
                           : submit(i, run_look, done_look, &e)) < 0)
        end(i, &e);
}

/* A keeper that dies meanwhile is asked again, and builds anew. */
static void on_built(void *arg, const struct err *e, struct slice body)
{
    struct package_install *i = arg;
    struct slice status;
    i->is_built = true;
    if (e)
        i->error = *e;
    else if (!json_member_string(body, "status", &status) ||
             !json_copy_string(status, i->status, sizeof i->status) ||
             !json_member_int(body, "exit_code", &i->exit_code))
        (void)err_set(&i->error, ERR_INTERNAL, "the keeper's answer is malformed");
    i->words = e ? NULL : json_member_dup(body, "words", 1024);
    if (i->timer >= 0)
        loop_timer_end(i->owner->hub->loop, i->timer);
    i->timer = -1;
    if (i->job)
        return; /* done_look goes on */
    i->state = INSTALL_ENDING;
    i->is_at_end = false;
    read_rest(i);
}

static int on_look(struct loop *loop, int timer, void *arg)
{
    struct package_install *i = arg;
    struct err e = ERR_INIT;
    i->timer = loop_timer(loop, LOOK_MS, on_look, i);
    if (zclock_mono() - i->said_ms >= SILENCE_MS)
        say_progress(i, slice_of("", 0));
    if (!i->job && i->told < MAX_PROGRESS && submit(i, run_look, done_look, &e) < 0)
        log_warning("install=%s %s", i->id.text, e.text);
    return 0;
}

static void done_prepare(void *ctx, const struct err *e)
{
    struct package_install *i = ctx;
    struct hub *h = i->owner->hub;
    i->job = NULL;
    if (e) {
        end(i, e);
        return;
    }
    struct verb_request r = { .verb = VERB_BUILD, .build_id = i->id };
    (void)snprintf(r.user_id, sizeof r.user_id, "%s", i->user->id.text);
    (void)snprintf(r.template_name, sizeof r.template_name, "%s", i->template_name);
    (void)snprintf(r.language, sizeof r.language, "%s", i->language);
    i->state = INSTALL_BUILDING;
    i->timer = loop_timer(h->loop, LOOK_MS, on_look, i);
    int64_t limit_ms = 1000 * config_number(h->config, CONFIG_PACKAGES_TIMEOUT) + MAKE_MS;
    keeper_client_ask(h->keeper, &r, (int)limit_ms, on_built, i);
}

/* ---- turns ---- */

/* The first whose turn it is. */
static struct package_install *find_next(const struct packages *p)
{
    const struct user *busy[MAX_RUNNING] = { NULL };
    unsigned n = 0;
    for (struct package_install *i = zlistx_first(p->installs); i; i = zlistx_next(p->installs))
        if (i->state != INSTALL_QUEUED && n < MAX_RUNNING)
            busy[n++] = i->user;
    if (n == MAX_RUNNING)
        return NULL;
    for (struct package_install *i = zlistx_first(p->installs); i; i = zlistx_next(p->installs)) {
        bool is_free = i->state == INSTALL_QUEUED;
        for (unsigned k = 0; k < n; k++)
            is_free = is_free && busy[k] != i->user;
        if (is_free)
            return i;
    }
    return NULL;
}

static void tell_positions(struct packages *p)
{
    size_t position = 0;
    for (struct package_install *i = zlistx_first(p->installs); i; i = zlistx_next(p->installs)) {
        if (i->state != INSTALL_QUEUED || i->position == ++position)
            continue;
        i->position = position;
        say_queued(i, position);
    }
}

static int on_turn(struct loop *loop, int timer, void *arg)
{
    struct packages *p = arg;
    struct package_install *i;
    struct err e = ERR_INIT;
    p->timer = -1;
    while ((i = find_next(p)) != NULL) {
        i->state = INSTALL_PREPARING;
        if (submit(i, run_prepare, done_prepare, &e) < 0)
            end(i, &e);
    }
    tell_positions(p);
    return 0;
}

/* In the loop's next turn: nobody is told anything while he asks. */
static void start_next(struct packages *p)
{
    if (p->timer < 0)
        p->timer = loop_timer(p->hub->loop, 1, on_turn, p);
}

int packages_install(struct hub *h, struct user *u, const struct packages_wish *wish,
                     const struct packages_listener *listener, struct package_install **ret,
                     struct err *e)
{
    struct package_install *i = zmalloc(sizeof *i);
    *i = (struct package_install){ .owner = h->packages,
                                   .user = u,
                                   .listener = *listener,
                                   .id = uuid_new(),
                                   .requested = BUF_INIT(2 * MAX_TEXT_BYTES),
                                   .requirements = BUF_INIT(MAX_TEXT_BYTES),
                                   .piece = BUF_INIT(2 * PIECE_BYTES),
                                   .tail = BUF_INIT(2 * PIECE_BYTES + TAIL_BYTES),
                                   .timer = -1,
                                   .log = -1,
                                   .begun_ms = zclock_mono(),
                                   .said_ms = zclock_mono() };
    if (install_read_wish(i, wish, e) < 0) {
        install_free(i);
        return -1;
    }
    i->handle = zlistx_add_end(h->packages->installs, i);
    start_next(h->packages);
    *ret = i;
    return 0;
}

void packages_leave(struct package_install *i)
{
    i->is_left = true;
}
