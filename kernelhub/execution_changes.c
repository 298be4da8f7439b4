/* Which files an execution changed: from the moment it is sent to its kernel until its end is heard. What there is to tell stands
 * in the event before `finished`, in the same commit; an end that has nothing to tell waits for nobody. */
#include "kernelhub/changes.h"
#include "kernelhub/execution_internal.h"

#define MAX_FIELDS_BYTES (8u << 20)

void execution_watch_changes(struct execution *x, const char *missed)
{
    if (!x->changes && x->session->sandbox->watched)
        x->changes = changes_begin(x->session->sandbox->watched, missed);
}

static void on_known(void *arg, struct slice fields)
{
    execution_commit_end(arg, fields);
}

void execution_end_changes(struct execution *x)
{
    static const char NOBODY[] = "the service was started again while it ran";
    CLEANUP_BUF struct buf fields = BUF_INIT(MAX_FIELDS_BYTES);
    if (x->changes) {
        if (!changes_end(TAKE(x->changes), &fields, on_known, x))
            return;
    } else if (x->hub->changes && x->sent_mono_us) {
        changes_write_missed(NOBODY, &fields);
    }
    execution_commit_end(x, buf_slice(&fields));
}
