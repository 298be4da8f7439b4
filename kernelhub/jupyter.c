#include "kernelhub/jupyter_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "kernelhub/catalog.h"
#include "kernelhub/wait.h"
#include "protocol/jupyter_message.h"

#define MAX_JSON_BYTES (64u * 1024)

/* ---- what a session has of it ---- */

static struct jupyter_place *add_place(struct jupyter *j, const struct uuid *id, const char *path,
                                       const char *name, const char *type)
{
    struct jupyter_place *p = j->n_places < JUPYTER_MAX_PLACES ? calloc(1, sizeof *p) : NULL;
    if (!p)
        return NULL;
    p->id = *id;
    (void)snprintf(p->path, sizeof p->path, "%s", path);
    (void)snprintf(p->name, sizeof p->name, "%s", name);
    (void)snprintf(p->type, sizeof p->type, "%s", type);
    j->places[j->n_places++] = p;
    return p;
}

static void remove_place(struct jupyter *j, const struct jupyter_place *p)
{
    for (size_t i = 0; i < j->n_places; i++) {
        if (j->places[i] != p)
            continue;
        free(j->places[i]);
        j->places[i] = j->places[--j->n_places];
        return;
    }
}

struct jupyter *jupyter_new(const char *session_name)
{
    struct jupyter *j = calloc(1, sizeof *j);
    if (!j)
        abort();
    struct uuid id = uuid_new();
    j->kernel_id = uuid_new();
    (void)add_place(j, &id, session_name, "", "console"); /* the first fits */
    fronts_init(j);
    return j;
}

void jupyter_free(struct jupyter *j)
{
    fronts_done(j);
    while (j->n_places)
        remove_place(j, j->places[0]);
    free(j);
}

static void write_place(const struct jupyter_place *p, struct buf *out)
{
    buf_addf(out, "\"id\":\"%s\",\"path\":", p->id.text);
    json_quote_str(out, p->path);
    buf_add_str(out, ",\"name\":");
    json_quote_str(out, p->name);
    buf_add_str(out, ",\"type\":");
    json_quote_str(out, p->type);
}

void jupyter_save(const struct jupyter *j, struct buf *out)
{
    buf_addf(out, "{\"kernel_id\":\"%s\",\"folder\":", j->kernel_id.text);
    json_quote_str(out, j->folder);
    buf_add_str(out, ",\"places\":[");
    for (size_t i = 0; i < j->n_places; i++) {
        buf_add_str(out, i ? ",{" : "{");
        write_place(j->places[i], out);
        buf_add_char(out, '}');
    }
    buf_add_str(out, "]}");
}

static bool read_place(struct slice json, struct jupyter_place *ret)
{
    struct slice id, path, name, type;
    return json_member_string(json, "id", &id) && uuid_parse(id, &ret->id) &&
           json_member_string(json, "path", &path) &&
           json_copy_string(path, ret->path, sizeof ret->path) &&
           json_member_string(json, "name", &name) &&
           json_copy_string(name, ret->name, sizeof ret->name) &&
           json_member_string(json, "type", &type) &&
           json_copy_string(type, ret->type, sizeof ret->type);
}

void jupyter_recover(struct jupyter *j, struct slice json)
{
    struct slice id, places;
    struct jupyter_place p;
    if (!json_valid(json) || !json_member_string(json, "kernel_id", &id) ||
        !uuid_parse(id, &j->kernel_id) || !json_member(json, "places", &places))
        return;
    char folder[JUPYTER_MAX_PATH_BYTES + 1];
    jupyter_start_in(j, json_member_string(json, "folder", &id) &&
                                json_copy_string(id, folder, sizeof folder)
                            ? folder
                            : NULL);
    while (j->n_places)
        remove_place(j, j->places[0]);
    struct json_iter it = json_iter(places);
    while (json_next(&it))
        if (read_place(it.value, &p))
            (void)add_place(j, &p.id, p.path, p.name, p.type); /* as many as were saved */
}

/* ---- finding ---- */

static bool is_shown(const struct session *s, const struct user *u)
{
    return s->user == u && !s->ephemeral && !s->removed;
}

/* In no order. For who is asked by a client: no walk over the sessions is under way then. */
static struct session *next_shown(struct hub *h, const struct user *u, struct session *s)
{
    for (s = s ? zhashx_next(h->sessions) : zhashx_first(h->sessions); s;
         s = zhashx_next(h->sessions))
        if (is_shown(s, u))
            return s;
    return NULL;
}

struct session *jupyter_find_kernel(struct hub *h, const struct user *u, const char *kernel_id)
{
    struct uuid id;
    struct session *s =
        uuid_parse(slice_str(kernel_id), &id) ? zhashx_lookup(h->jupyter_kernels, id.text) : NULL;
    return s && is_shown(s, u) ? s : NULL;
}

static struct jupyter_place *place_of(const struct session *s, const char *id)
{
    for (size_t i = 0; i < s->jupyter->n_places; i++)
        if (strcasecmp(s->jupyter->places[i]->id.text, id) == 0)
            return s->jupyter->places[i];
    return NULL;
}

struct session *jupyter_find_session(struct hub *h, const struct user *u, const char *id)
{
    for (struct session *s = next_shown(h, u, NULL); s; s = next_shown(h, u, s))
        if (place_of(s, id))
            return s;
    return NULL;
}

struct session *jupyter_find_path(struct hub *h, const struct user *u, const char *path,
                                  char ret_session_id[37])
{
    for (struct session *s = next_shown(h, u, NULL); s; s = next_shown(h, u, s))
        for (size_t i = 0; i < s->jupyter->n_places; i++)
            if (strcmp(s->jupyter->places[i]->path, path) == 0) {
                memcpy(ret_session_id, s->jupyter->places[i]->id.text, 37);
                return s;
            }
    return NULL;
}

/* ---- models ---- */

/* A kernel that is not there starts when somebody wants it: that is no death. */
static const char *state_of(const struct session *s)
{
    switch (s->kernel) {
    case KERNEL_NONE:
        return s->jupyter->is_dead ? "dead" : "starting";
    case KERNEL_WAITING:
    case KERNEL_STARTING:
        return s->restarting ? "restarting" : "starting";
    case KERNEL_READY:
        break;
    }
    return s->running ? "busy" : "idle";
}

static void write_kernelspec(const struct session *s, struct buf *out)
{
    char name[JUPYTER_SPEC_NAME_CHARS + 1];
    jupyter_spec_name(s->hub->catalog, s->template_name, s->kernelspec, name);
    json_quote_str(out, name);
}

void jupyter_write_kernel(const struct session *s, struct buf *out)
{
    char used[28];
    jupyter_format_time(s->last_used_us, used);
    buf_addf(out, "{\"id\":\"%s\",\"name\":", s->jupyter->kernel_id.text);
    write_kernelspec(s, out);
    buf_addf(out, ",\"last_activity\":\"%s\",\"execution_state\":\"%s\",\"connections\":%zu}", used,
             state_of(s), fronts_count(s));
}

void jupyter_write_kernels(struct hub *h, const struct user *u, struct buf *out)
{
    const char *comma = "[";
    for (struct session *s = next_shown(h, u, NULL); s; s = next_shown(h, u, s)) {
        buf_add_str(out, comma);
        jupyter_write_kernel(s, out);
        comma = ",";
    }
    buf_add_str(out, *comma == '[' ? "[]" : "]");
}

static void write_session(const struct session *s, const struct jupyter_place *p, struct buf *out)
{
    buf_add_char(out, '{');
    write_place(p, out);
    buf_add_str(out, ",\"kernel\":");
    jupyter_write_kernel(s, out);
    if (strcmp(p->type, "notebook") == 0) {
        buf_add_str(out, ",\"notebook\":{\"path\":");
        json_quote_str(out, p->path);
        buf_add_str(out, ",\"name\":");
        json_quote_str(out, p->name);
        buf_add_char(out, '}');
    }
    buf_add_char(out, '}');
}

void jupyter_write_session(const struct session *s, const char *id, struct buf *out)
{
    const struct jupyter_place *p = place_of(s, id);
    if (p)
        write_session(s, p, out);
}

void jupyter_write_sessions(struct hub *h, const struct user *u, struct buf *out)
{
    const char *comma = "[";
    for (struct session *s = next_shown(h, u, NULL); s; s = next_shown(h, u, s))
        for (size_t i = 0; i < s->jupyter->n_places; i++) {
            buf_add_str(out, comma);
            write_session(s, s->jupyter->places[i], out);
            comma = ",";
        }
    buf_add_str(out, *comma == '[' ? "[]" : "]");
}

void jupyter_write_status(struct hub *h, const struct user *u, struct buf *out)
{
    char started[28], used[28];
    size_t kernels = 0, connections = 0;
    int64_t used_us = h->started_us;
    for (struct session *s = next_shown(h, u, NULL); s; s = next_shown(h, u, s)) {
        kernels++;
        connections += fronts_count(s);
        used_us = s->last_used_us > used_us ? s->last_used_us : used_us;
    }
    jupyter_format_time(h->started_us, started);
    jupyter_format_time(used_us, used);
    buf_addf(out,
             "{\"started\":\"%s\",\"last_activity\":\"%s\",\"kernels\":%zu,\"connections\":%zu}",
             started, used, kernels, connections);
}

/* ---- verbs ---- */

/* Somebody waits for a kernel. */
struct start {
    struct hub *hub;
    struct wait *wait; /* NULL: nobody wants to know any more */
    struct user *user;
    struct uuid kernel_id, place_id; /* place_id none: the kernel itself was asked for */
    bool is_new;                     /* it goes again when it does not come up */
    bool moves;                      /* place_id is elsewhere, until the kernel is ready */
    char *path, *name, *type;        /* what it is called from then on; NULL: as before */
    bool *ret_is_done;               /* while the verb has not returned */
};

static void start_free(struct start *start)
{
    free(start->path);
    free(start->name);
    free(start->type);
    free(start);
}

static int move_here(const struct start *start, struct session *to, struct err *e);

/* Nobody else has come to it since it was made. */
static bool is_unused(const struct session *s)
{
    return s->jupyter->n_places == 1 && strcmp(s->jupyter->places[0]->path, s->name) == 0;
}

static void answer_start(struct start *start, const struct err *e)
{
    CLEANUP_BUF struct buf json = BUF_INIT(MAX_JSON_BYTES);
    struct err why;
    struct session *s = jupyter_find_kernel(start->hub, start->user, start->kernel_id.text);
    bool is_up = !e;
    if (!e && s && start->moves && move_here(start, s, &why) < 0)
        e = &why;
    if (!e && s && uuid_is_set(&start->place_id))
        jupyter_write_session(s, start->place_id.text, &json);
    else if (!e && s)
        jupyter_write_kernel(s, &json);
    if (!e && !json.len) {
        (void)err_set(&why, ERR_GONE, "the session was deleted meanwhile");
        e = &why;
    }
    if (e && s && start->is_new && (!is_up || is_unused(s)))
        session_close(s, "its kernel did not start");
    if (start->ret_is_done)
        *start->ret_is_done = true;
    if (start->wait)
        wait_answer(start->wait, e, buf_slice(&json));
    start_free(start);
}

static void on_ready(void *arg, const struct err *e, struct slice json)
{
    answer_start(arg, e);
}

static struct start *start_new(const struct session *s, const struct uuid *place_id, bool is_new)
{
    struct start *start = calloc(1, sizeof *start);
    if (!start)
        abort();
    *start = (struct start){
        .hub = s->hub, .user = s->user, .kernel_id = s->jupyter->kernel_id, .is_new = is_new
    };
    if (place_id)
        start->place_id = *place_id;
    return start;
}

/* Answers when the kernel is ready, or could not be started. Takes over start. */
static struct wait *await_start(struct session *s, struct start *start, reply_fn done, void *arg)
{
    bool is_done = false;
    start->ret_is_done = &is_done;
    struct wait *w = start->wait = wait_new_owned(&start->wait, done, arg);
    (void)session_when_ready(s, on_ready, start); /* goes on when nobody wants to know any more */
    if (is_done)
        return NULL;
    start->ret_is_done = NULL;
    return w;
}

static struct wait *await(struct session *s, const struct uuid *place_id, bool is_new,
                          reply_fn done, void *arg)
{
    return await_start(s, start_new(s, place_id, is_new), done, arg);
}

static struct wait *refuse(const struct err *e, reply_fn done, void *arg)
{
    done(arg, e, slice_of(NULL, 0));
    return NULL;
}

/* A session of its own for a kernel of that name. path: what it is called, unless another is; NULL: "jupyter-…". */
static int open_session(struct hub *h, struct user *u, const char *kernel_name, const char *path,
                        struct session **ret, struct err *e)
{
    char name[JUPYTER_SPEC_NAME_CHARS + 1];
    if (catalog_is_empty(h->catalog))
        return err_set(e, ERR_UNAVAILABLE, "no image with kernels is known yet");
    const struct catalog_kernel *k;
    if (!kernel_name && catalog_find(h->catalog, NULL, "python", &k, e) < 0)
        return -1;
    if (kernel_name && !(k = jupyter_find_spec(h->catalog, kernel_name)))
        return err_set(e, ERR_NOT_FOUND, "there is no kernelspec '%.100s'", kernel_name);
    if (path && *path && strlen(path) < 128 && !session_find(h, u, path))
        (void)snprintf(name, sizeof name, "%s", path);
    else
        (void)snprintf(name, sizeof name, "jupyter-%.8s", uuid_new().text);
    bool is_default = strcmp(k->template_name, catalog_default_template(h->catalog)) == 0;
    return session_open(h, u, name, k->kernelspec, is_default ? NULL : k->template_name, NULL,
                        false, ret, e);
}

static int no_room(struct err *e)
{
    return err_set(e, ERR_QUOTA, "%d sessions share that kernel, the limit", JUPYTER_MAX_PLACES);
}

static const char *or_else(const char *text, const char *otherwise)
{
    return text ? text : otherwise;
}

static void fill_place(struct jupyter_place *p, const struct jupyter_wish *w)
{
    if (w->path)
        (void)snprintf(p->path, sizeof p->path, "%s", w->path);
    if (w->name)
        (void)snprintf(p->name, sizeof p->name, "%s", w->name);
    if (w->type)
        (void)snprintf(p->type, sizeof p->type, "%s", w->type);
}

struct wait *jupyter_start_kernel(struct hub *h, struct user *u, const struct jupyter_wish *w,
                                  reply_fn done, void *arg)
{
    struct session *s;
    struct err e;
    if (open_session(h, u, w->kernel_name, NULL, &s, &e) < 0)
        return refuse(&e, done, arg);
    jupyter_start_in(s->jupyter, w->path);
    session_save(s, 0);
    return await(s, NULL, true, done, arg);
}

struct wait *jupyter_start_session(struct hub *h, struct user *u, const struct jupyter_wish *w,
                                   reply_fn done, void *arg)
{
    struct session *s;
    struct jupyter_place *p;
    struct err e;
    char there[37];
    if (!w->path) {
        (void)err_set(&e, ERR_INVALID, "a session needs a path");
        return refuse(&e, done, arg);
    }
    if ((s = jupyter_find_path(h, u, w->path, there)) != NULL)
        return await(s, &place_of(s, there)->id, false, done, arg);
    struct uuid id = uuid_new();
    if (w->kernel_id) {
        s = jupyter_find_kernel(h, u, w->kernel_id);
        p = s ? add_place(s->jupyter, &id, w->path, or_else(w->name, ""),
                          or_else(w->type, "notebook"))
              : NULL;
        if (!p) {
            if (s)
                (void)no_room(&e);
            else
                (void)err_set(&e, ERR_NOT_FOUND, "there is no kernel %.36s", w->kernel_id);
            return refuse(&e, done, arg);
        }
        session_save(s, 0);
        return await(s, &id, false, done, arg);
    }
    if (open_session(h, u, w->kernel_name, w->path, &s, &e) < 0)
        return refuse(&e, done, arg);
    jupyter_start_beside(s->jupyter, w->path);
    p = s->jupyter->places[0];
    (void)snprintf(p->type, sizeof p->type, "notebook");
    fill_place(p, w);
    session_save(s, 0);
    return await(s, &p->id, true, done, arg);
}

/* The kernel goes with the last that used it. */
static void leave(struct session *s, const struct jupyter_place *p)
{
    remove_place(s->jupyter, p);
    if (s->jupyter->n_places)
        session_save(s, 0);
    else
        session_close(s, "its last Jupyter session ended");
}

/* Its kernel is ready. Meanwhile the place may have gone, or may have moved: also to here. */
static int move_here(const struct start *start, struct session *to, struct err *e)
{
    const char *id = start->place_id.text;
    struct session *from = jupyter_find_session(start->hub, start->user, id);
    if (!from)
        return err_set(e, ERR_GONE, "the session was deleted meanwhile");
    const struct jupyter_wish w = { .path = start->path, .name = start->name, .type = start->type };
    struct jupyter_place *p = place_of(from, id), *moved = p;
    if (from != to) {
        if (start->is_new && is_unused(to)) /* its own place is of nobody */
            remove_place(to->jupyter, to->jupyter->places[0]);
        moved = add_place(to->jupyter, &p->id, p->path, p->name, p->type);
    }
    if (!moved)
        return no_room(e);
    fill_place(moved, &w);
    session_save(to, 0);
    if (from != to)
        leave(from, p);
    return 0;
}

static char *copy(const char *text)
{
    return text ? strdup(text) : NULL;
}

/* Nothing is left before the other kernel is ready: when it does not come up all is as it was. */
static struct wait *change_kernel(struct session *s, struct jupyter_place *p,
                                  const struct jupyter_wish *w, reply_fn done, void *arg)
{
    struct session *to;
    struct err e = ERR_INIT;
    struct hub *h = s->hub;
    if (!w->kernel_id && open_session(h, s->user, w->kernel_name, NULL, &to, &e) < 0)
        return refuse(&e, done, arg);
    if (w->kernel_id && !(to = jupyter_find_kernel(h, s->user, w->kernel_id)))
        (void)err_set(&e, ERR_INVALID, "there is no kernel %.36s", w->kernel_id);
    else if (w->kernel_id && to != s && to->jupyter->n_places == JUPYTER_MAX_PLACES)
        (void)no_room(&e);
    if (e.code != ERR_NONE)
        return refuse(&e, done, arg);
    if (to == s) {
        fill_place(p, w);
        session_save(s, 0);
        return await(s, &p->id, false, done, arg);
    }
    if (!w->kernel_id) {
        jupyter_start_beside(to->jupyter, or_else(w->path, p->path));
        session_save(to, 0);
    }
    struct start *start = start_new(to, &p->id, !w->kernel_id);
    start->moves = true;
    start->path = copy(w->path);
    start->name = copy(w->name);
    start->type = copy(w->type);
    return await_start(to, start, done, arg);
}

struct wait *jupyter_change_session(struct hub *h, struct user *u, const char *id,
                                    const struct jupyter_wish *w, reply_fn done, void *arg)
{
    struct err e;
    struct session *s = jupyter_find_session(h, u, id);
    struct jupyter_place *p = s ? place_of(s, id) : NULL;
    if (!p) {
        (void)err_set(&e, ERR_NOT_FOUND, "there is no such session");
        return refuse(&e, done, arg);
    }
    if (w->kernel_id || w->kernel_name)
        return change_kernel(s, p, w, done, arg);
    fill_place(p, w);
    session_save(s, 0);
    CLEANUP_BUF struct buf json = BUF_INIT(MAX_JSON_BYTES);
    write_session(s, p, &json);
    done(arg, NULL, buf_slice(&json));
    return NULL;
}

void jupyter_delete_session(struct session *s, const char *id)
{
    const struct jupyter_place *p = place_of(s, id);
    if (p)
        leave(s, p);
}

struct wait *jupyter_await(struct session *s, reply_fn done, void *arg)
{
    return await(s, NULL, false, done, arg);
}
