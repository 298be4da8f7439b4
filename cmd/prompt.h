/* prompt.h - a question of the running code, put to the person at the terminal: input() and getpass(). */
#ifndef CMD_PROMPT_H
#define CMD_PROMPT_H

#include <stdbool.h>
#include <termios.h>

#include "base/buf.h"

struct prompt {
    bool open;        /* a question stands there */
    bool hidden;      /* a password's: the terminal's echo is off */
    struct termios before;
};

/* Is somebody there who can be asked? (stdin and stderr are terminals) */
bool prompt_is_possible(void);

/* Puts the question on stderr; a password's answer is not shown. An older question is forgotten. */
void prompt_ask(struct prompt *p, const char *text, bool password);

/* Call when stdin is readable: appends the line without its newline; U+0004 at the end of file. The terminal is as it was before. */
void prompt_read(struct prompt *p, struct buf *out);

/* Gives the terminal back when nobody is asked any more. Half a password that was typed goes to nobody. */
void prompt_end(struct prompt *p);

#endif
