/* warden_command.h - one command as the warden sees it: its process made by init, its output read from pipes of our own,
 * ended truthfully. */
#ifndef SANDBOX_WARDEN_COMMAND_H
#define SANDBOX_WARDEN_COMMAND_H

#include "sandbox/warden_kernel.h"

/*      hub ◄══ MESSAGE, END ══ warden ◄── two pipes ── process
 *      hub ══ EXEC ══► warden ── EXEC with the pipes' other ends ─► init ── fork ─► process
 */
struct warden_command;

#define WARDEN_COMMANDS_MAX_INPUT (32u << 20) /* stdin that waits to be read, of all of them */

/* Reads the hub's LINK_EXEC. The command waits until warden_command_begin. held_input: how much the others hold. */
int warden_command_new(struct warden_kernel_env *env, const struct link_frame *f, size_t held_input,
                       struct warden_command **ret, struct err *e);
void warden_command_free(struct warden_command *c);

/* Init is there; number: init's, nobody else's until this command is freed. */
void warden_command_begin(struct warden_command *c, unsigned number);

/* The hub's orders. */
void warden_command_interrupt(struct warden_command *c);
void warden_command_stop(struct warden_command *c);

/* What init says. */
void warden_command_on_packet(struct warden_command *c, const struct init_packet *p);
void warden_command_on_init_gone(struct warden_command *c);

/* The time, as a kernel's. */
int64_t warden_command_due_ms(const struct warden_command *c);
void warden_command_on_due(struct warden_command *c, int64_t now_ms);

bool warden_command_is_waiting(const struct warden_command *c); /* to begin */
bool warden_command_is_over(const struct warden_command *c);    /* nothing more will come: free it */
const struct uuid *warden_command_id(const struct warden_command *c);
unsigned warden_command_number(const struct warden_command *c); /* 0: not begun */
size_t warden_command_input(const struct warden_command *c);    /* bytes of stdin it still holds */

#endif
