/* GET /files/{path}: downloads as JupyterLab asks for them. */
#include "web/jupyter_contents.h"

#include "web/download.h"
#include "web/file_path.h"
#include "web/reply.h"
#include "web/request.h"

void jupyter_files(struct request *r)
{
    struct err e = ERR_INIT;
    const char *wanted = query_get(&r->query, "download");
    struct download_ask ask = {
        .as_attachment = wanted && wanted[0] && strcmp(wanted, "0") != 0,
        .refuse = jupyter_contents_refuse,
    };
    if (file_path_read(r->match.rest, ask.path, &e) < 0) {
        reply_error(r, &e);
    } else if (files_path_is_hidden(ask.path)) {
        (void)err_set(&e, ERR_NOT_FOUND, "file or directory does not exist");
        reply_error(r, &e);
    } else {
        download_start(r, &ask);
    }
}
