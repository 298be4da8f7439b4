#include "web/stop.h"

#include "base/json.h"
#include "kernelhub/execution.h"
#include "protocol/event_record.h"
#include "web/site.h"

bool stop_is_end(struct slice json)
{
    struct slice name;
    enum status status;
    return json_member_string(json, "status", &name) && status_parse(name, &status) &&
           status_is_end(status);
}

static void ignore(void *arg, const struct err *e, struct slice json)
{
    /* nobody is there to be told; the execution's own record says how it ended */
}

void stop_unwatched(const struct site *site, const struct user *user, const struct uuid *id)
{
    (void)execution_interrupt(site->hub, user, id, ignore, NULL); /* not waited for */
}
