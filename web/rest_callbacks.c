/* The secret that a user's callbacks are signed with. */
#include "base/buf.h"
#include "kernelhub/callback.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/rest.h"

#define MAX_BYTES 256

void rest_callback_secret(struct request *r)
{
    CLEANUP_BUF struct buf out = BUF_INIT(MAX_BYTES);
    callback_write_secret(r->site->hub, r->user, &out);
    reply_buf(r, 200, &out);
}

void rest_callback_secret_renew(struct request *r)
{
    if (!request_has_empty_body(r))
        return;
    callback_renew_secret(r->site->hub, r->user);
    rest_callback_secret(r);
}
