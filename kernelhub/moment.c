#include "kernelhub/moment.h"

#include "protocol/jupyter_message.h"

void moment_write(struct buf *out, const char *name, int64_t unix_us)
{
    char text[28] = "";
    if (unix_us)
        jupyter_format_time(unix_us, text);
    buf_addf(out, unix_us ? ",\"%s\":\"%s\"" : ",\"%s\":null", name, text);
}
