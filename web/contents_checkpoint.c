/* Checkpoints: one copy of a file, beside it. */
#include "base/json.h"
#include "web/contents.h"

static const char ID[] = "checkpoint";

int contents_checkpoint_path(const char *path, char ret[FILES_MAX_PATH + 1], struct err *e)
{
    const char *name = files_path_name(path), *dot = strrchr(name, '.');
    if (!dot || dot == name)
        dot = name + strlen(name);
    int n = snprintf(ret, FILES_MAX_PATH + 1, "%.*s" CONTENTS_CHECKPOINTS "/%.*s-%s%s",
                     (int)(name - path), path, (int)(dot - name), name, ID, dot);
    if (n > FILES_MAX_PATH || strlen(files_path_name(ret)) > FILES_MAX_NAME)
        return err_set(e, ERR_INVALID, "the name is too long for a checkpoint");
    return 0;
}

/* Its own folder is there. */
static int make_room(struct tree *t, const char *checkpoint, struct err *e)
{
    char folder[FILES_MAX_PATH + 1];
    struct err known = ERR_INIT;
    size_t n = (size_t)(files_path_name(checkpoint) - checkpoint) - 1;
    memcpy(folder, checkpoint, n);
    folder[n] = '\0';
    if (files_make_folder(t, folder, &known) == 0 || known.code == ERR_CONFLICT)
        return 0;
    *e = known;
    return -1;
}

/* The checkpoint that the request is about: its path, and that it is there. */
static int find(struct tree *t, const struct contents_ask *ask, char ret[FILES_MAX_PATH + 1],
                struct files_stat *st, struct err *e)
{
    if (contents_checkpoint_path(ask->path, ret, e) < 0)
        return -1;
    if (files_path_is_hidden(ask->path) || (ask->checkpoint[0] && strcmp(ask->checkpoint, ID) != 0))
        return err_set(e, ERR_NOT_FOUND, "checkpoint does not exist");
    if (files_stat(t, ret, st, e) < 0)
        return e->code == ERR_NOT_FOUND ? err_set(e, ERR_NOT_FOUND, "checkpoint does not exist")
                                        : -1;
    return st->type == FILES_FILE ? 0 : err_set(e, ERR_NOT_FOUND, "checkpoint does not exist");
}

static void write_checkpoint(const struct files_stat *st, struct buf *out)
{
    buf_addf(out, "{\"id\":\"%s\",\"last_modified\":", ID);
    contents_write_time(st->modified_ns, out);
    buf_add_char(out, '}');
}

int contents_checkpoints(struct tree *t, const struct contents_ask *ask,
                         struct contents_answer *ret, struct err *e)
{
    char path[FILES_MAX_PATH + 1];
    struct files_stat st;
    ret->status = 200;
    buf_add_char(&ret->json, '[');
    if (find(t, ask, path, &st, e) == 0)
        write_checkpoint(&st, &ret->json);
    else if (e->code != ERR_NOT_FOUND)
        return -1;
    buf_add_char(&ret->json, ']');
    return 0;
}

int contents_checkpoint_create(struct tree *t, const struct contents_ask *ask,
                               struct contents_answer *ret, struct err *e)
{
    char path[FILES_MAX_PATH + 1];
    struct files_stat st;
    if (files_path_is_hidden(ask->path))
        return err_set(e, ERR_NOT_FOUND, "hidden files have no checkpoints");
    if (files_stat(t, ask->path, &st, e) < 0)
        return -1;
    if (st.type != FILES_FILE)
        return err_set(e, ERR_INVALID, "only files have checkpoints");
    if (contents_checkpoint_path(ask->path, path, e) < 0 || make_room(t, path, e) < 0 ||
        files_copy(t, ask->path, path, true, e) < 0 || files_stat(t, path, &st, e) < 0)
        return -1;
    ret->status = 201;
    ret->has_path = snprintf(ret->path, sizeof ret->path, "%s/checkpoints/%s", ask->path, ID) <
                    (int)sizeof ret->path;
    write_checkpoint(&st, &ret->json);
    return 0;
}

int contents_checkpoint_restore(struct tree *t, const struct contents_ask *ask,
                                struct contents_answer *ret, struct err *e)
{
    char path[FILES_MAX_PATH + 1];
    struct files_stat st;
    ret->status = 204;
    return find(t, ask, path, &st, e) < 0 ? -1 : files_copy(t, path, ask->path, true, e);
}

int contents_checkpoint_delete(struct tree *t, const struct contents_ask *ask,
                               struct contents_answer *ret, struct err *e)
{
    char path[FILES_MAX_PATH + 1];
    struct files_stat st;
    ret->status = 204;
    return find(t, ask, path, &st, e) < 0 ? -1 : files_delete(t, path, false, e);
}

void contents_checkpoint_follow(struct tree *t, const char *from, const char *to)
{
    char old[FILES_MAX_PATH + 1], new[FILES_MAX_PATH + 1];
    struct files_stat st;
    struct err none = ERR_INIT;
    if (contents_checkpoint_path(from, old, &none) < 0 || files_stat(t, old, &st, &none) < 0)
        return;
    if (!to)
        (void)files_delete(t, old, false,
                           &none); /* it is a copy: the file itself has gone as asked */
    else if (contents_checkpoint_path(to, new, &none) == 0 && make_room(t, new, &none) == 0)
        (void)files_rename(t, old, new, true, &none); /* the same */
}
