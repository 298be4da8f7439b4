#include "cmd/prompt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char END_OF_FILE[] = "\x04"; /* as Jupyter says it */

bool prompt_is_possible(void)
{
    return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

void prompt_ask(struct prompt *p, const char *text, bool password)
{
    prompt_end(p);
    (void)fflush(stdout);
    fputs(text, stderr);
    (void)fflush(stderr);
    p->open = true;
    if (!password || tcgetattr(STDIN_FILENO, &p->before) < 0)
        return;
    struct termios quiet = p->before;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    p->hidden = tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) == 0;
}

void prompt_read(struct prompt *p, struct buf *out)
{
    char line[4096]; /* a terminal's lines are never longer */
    ssize_t n = read(STDIN_FILENO, line, sizeof line);
    bool whole = n > 0 && line[n - 1] == '\n';

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0)
        buf_add_str(out, END_OF_FILE);
    else
        buf_add(out, line, (size_t)n - whole);
    if (!whole || p->hidden)
        (void)fputc('\n', stderr); /* none was typed, or it is not shown */
    prompt_end(p);
}

void prompt_end(struct prompt *p)
{
    if (p->hidden)
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &p->before); /* nothing else can be done */
    p->open = p->hidden = false;
}
