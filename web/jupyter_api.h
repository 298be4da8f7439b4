/* jupyter_api.h - the handlers of the Jupyter Server API: /api/kernels, /api/sessions and what belongs to them. Source: Jupyter
 * Server's REST API (its api.yaml). Errors are {"message","reason"}; who is not let in gets 403, as there. */
#ifndef WEB_JUPYTER_API_H
#define WEB_JUPYTER_API_H

#include "base/slice.h"

struct request;

/* jupyter_api.c */
void jupyter_api_version(struct request *r);
void jupyter_api_status(struct request *r);
void jupyter_api_me(struct request *r);
void jupyter_api_kernelspecs(struct request *r);
void jupyter_api_kernelspec(struct request *r);
void jupyter_api_logo(struct request *r);
void jupyter_api_kernels(struct request *r);
void jupyter_api_kernel_start(struct request *r);
void jupyter_api_kernel(struct request *r);
void jupyter_api_kernel_delete(struct request *r);
void jupyter_api_kernel_interrupt(struct request *r);
void jupyter_api_kernel_restart(struct request *r);
void jupyter_api_sessions(struct request *r);
void jupyter_api_session_start(struct request *r);
void jupyter_api_session(struct request *r);
void jupyter_api_session_change(struct request *r);
void jupyter_api_session_delete(struct request *r);

/* The body as a JSON object; none is {}. It is checked: what is no object is refused (false: the reply is decided), a member of another
 * type is as good as absent. */
bool jupyter_api_read_object(struct request *r, struct slice *ret);

/* jupyter_terminals.c */
void jupyter_api_terminals(struct request *r);
void jupyter_api_terminal_start(struct request *r);
void jupyter_api_terminal(struct request *r);
void jupyter_api_terminal_delete(struct request *r);

/* jupyter_channels.c: the kernel's WebSocket. */
void jupyter_api_channels(struct request *r);

#endif
