/* login_page.h - where a person gives a browser a key, and takes it away again. No script; the forms are as Jupyter Server's: what
 * logs in there by a password logs in here by a key. */
#ifndef WEB_LOGIN_PAGE_H
#define WEB_LOGIN_PAGE_H

struct request;

void login_page_show(struct request *r);   /* GET /login?next=PATH */
void login_page_submit(struct request *r); /* POST, a form: password or token */
void login_page_leave(struct request *r);  /* POST /logout */

#endif
