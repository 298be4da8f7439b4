/* next ──► store_read_notebook ──► on_piece ──► next … The store knows cells; what the kernel is called is known here. */
#include "kernelhub/notebook_reader.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "kernelhub/catalog.h"
#include "kernelhub/jupyter.h"
#include "kernelhub/notebook.h"
#include "kernelhub/session_internal.h"

struct notebook_reader {
    struct hub *hub;
    struct user *user;
    char *session;
    void (*on_ready)(void *arg);
    void *arg;
    struct store_notebook *notebook; /* NULL while a query has it */
    struct store_query *query;
    struct buf piece;
    bool has_piece; /* not yet given out */
    bool is_last;   /* nothing comes behind it */
    struct err failure;
};

struct notebook_reader *notebook_reader_new(struct hub *h, const struct user *u,
                                            const struct notebook_wish *w,
                                            void (*on_ready)(void *arg), void *arg)
{
    const struct store_notebook_filter filter = { w->session, w->since_us, w->until_us,
                                                  w->without_outputs };
    struct notebook_reader *r = calloc(1, sizeof *r);
    if (!r)
        abort();
    *r = (struct notebook_reader){ .hub = h,
                                   .user = zhashx_lookup(h->users, u->id.text),
                                   .session = strdup(w->session),
                                   .on_ready = on_ready,
                                   .arg = arg,
                                   .notebook = store_notebook_new(&u->id, &filter),
                                   .piece = BUF_INIT(0) };
    return r;
}

void notebook_reader_free(struct notebook_reader *r)
{
    if (!r)
        return;
    store_cancel(r->query);
    store_notebook_free(r->notebook);
    buf_done(&r->piece);
    free(r->session);
    free(r);
}

/* ---- the end ---- */

/* That very kernelspec, else what speaks the language here. NULL: nothing does any more. */
static const struct catalog_kernel *find_kernel(const struct catalog *c, const char *template_name,
                                                const char *kernelspec, const char *language)
{
    size_t n;
    const struct catalog_kernel *all = catalog_kernels(c, &n), *found = NULL;
    for (size_t i = 0; template_name && kernelspec && i < n; i++)
        if (strcmp(all[i].template_name, template_name) == 0 &&
            strcmp(all[i].kernelspec, kernelspec) == 0)
            return &all[i];
    if (language && catalog_find(c, template_name, language, &found, NULL) < 0)
        (void)catalog_find(c, NULL, language, &found, NULL); /* NULL stays: there is none */
    return found;
}

/* Named as Jupyter clients look for it here. */
static void write_end(struct notebook_reader *r, const struct session *s)
{
    const struct store_notebook_kernel stored = store_notebook_kernel(r->notebook);
    struct notebook_kernel kernel = { .language = s ? s->language : stored.language };
    const struct catalog_kernel *k =
        find_kernel(r->hub->catalog, s ? s->template_name : stored.template_name,
                    s ? s->kernelspec : stored.kernelspec, kernel.language);
    char name[JUPYTER_SPEC_NAME_CHARS + 1];
    struct slice language;
    CLEANUP_BUF struct buf text = BUF_INIT(256);
    if (k) {
        jupyter_spec_name(r->hub->catalog, k->template_name, k->kernelspec, name);
        kernel.name = name;
        kernel.display_name = k->display_name;
        if (json_member_string(k->spec, "language", &language))
            json_unescape(&text, language);
        if (text.len && !text.failed)
            kernel.language = text.data;
    }
    if (s && s->language_info)
        kernel.language_info = slice_str(s->language_info);
    store_notebook_end(r->notebook, &kernel, &r->piece);
}

static void finish(struct notebook_reader *r)
{
    const struct session *s = session_find(r->hub, r->user, r->session);
    if (s || store_notebook_is_known(r->notebook))
        write_end(r, s);
    else
        (void)err_set(&r->failure, ERR_NOT_FOUND, "no session %s",
                      log_quote(slice_str(r->session)));
    r->is_last = true;
}

/* ---- pieces ---- */

static void on_piece(void *arg, const struct err *e, struct store_notebook *n, struct buf *piece,
                     bool last)
{
    struct notebook_reader *r = arg;
    r->query = NULL;
    r->notebook = n;
    buf_done(&r->piece);
    r->piece = *piece;
    buf_init(piece, 0);
    if (e)
        r->failure = *e;
    else if (last)
        finish(r);
    if (r->piece.failed)
        (void)err_set(&r->failure, ERR_TOO_LARGE, "a piece of the notebook takes too much memory");
    r->has_piece = true;
    r->on_ready(r->arg);
}

enum follow notebook_reader_next(struct notebook_reader *r, struct slice *ret_piece, struct err *e)
{
    if (r->failure.code != ERR_NONE) {
        *e = r->failure;
        return FOLLOW_FAILED;
    }
    if (r->has_piece && r->piece.len) {
        r->has_piece = false;
        *ret_piece = buf_slice(&r->piece);
        return FOLLOW_LINE;
    }
    if (r->is_last)
        return FOLLOW_END;
    if (!r->query)
        r->query = store_read_notebook(r->hub->store, TAKE(r->notebook), on_piece, r);
    return FOLLOW_WAIT;
}
