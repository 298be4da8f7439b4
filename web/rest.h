/* rest.h - the handlers of the native REST API (API.md "Native REST"). Each decides the request's
 * reply, at once or later; the lines of the route table name them. */
#ifndef WEB_REST_H
#define WEB_REST_H

struct request;

/* rest_execute.c */
void rest_execute(struct request *r);
void rest_execute_async(struct request *r);
void rest_execute_batch(struct request *r);

/* rest_exec.c */
void rest_sandbox_exec(struct request *r);

/* rest_executions.c */
void rest_executions(struct request *r);
void rest_execution(struct request *r);
void rest_execution_interrupt(struct request *r);
void rest_execution_cancel(struct request *r);
void rest_execution_input(struct request *r);

/* rest_files.c */
void rest_files(struct request *r);
void rest_files_post(struct request *r);
void rest_files_mkdir(struct request *r);
void rest_files_move(struct request *r);
void rest_file(struct request *r);
void rest_file_put(struct request *r);
void rest_file_delete(struct request *r);

/* rest_callbacks.c */
void rest_callback_secret(struct request *r);
void rest_callback_secret_renew(struct request *r);

/* rest_replay.c */
void rest_execution_replay(struct request *r);

/* rest_output.c */
void rest_execution_output(struct request *r);

/* rest_blob.c */
void rest_execution_blob(struct request *r);

/* rest_events.c */
void rest_execution_events(struct request *r);
void rest_session_events(struct request *r);

/* rest_stream.c */
struct site;
void rest_stream(struct request *r);
void rest_stream_free_all(struct site *site); /* what waits for an answer without its socket: the server ends */

/* rest_sessions.c */
void rest_sessions(struct request *r);
void rest_session_create(struct request *r);
void rest_session(struct request *r);
void rest_session_delete(struct request *r);
void rest_session_restart(struct request *r);
void rest_session_interrupt(struct request *r);

/* rest_notebook.c */
void rest_session_notebook(struct request *r);

/* rest_sandboxes.c */
void rest_sandboxes(struct request *r);
void rest_sandbox_create(struct request *r);
void rest_sandbox(struct request *r);
void rest_sandbox_change(struct request *r);
void rest_sandbox_delete(struct request *r);
void rest_sandbox_reset(struct request *r);
void rest_sandbox_stats(struct request *r);
void rest_sandbox_logs(struct request *r);
void rest_default(struct request *r);
void rest_default_create(struct request *r);
void rest_default_delete(struct request *r);
void rest_usage(struct request *r);
void rest_admin_sandboxes(struct request *r);
void rest_admin_sandbox_delete(struct request *r);

/* rest_info.c */
void rest_languages(struct request *r);
void rest_images(struct request *r);
void rest_templates(struct request *r);
void rest_health(struct request *r);
void rest_health_live(struct request *r);
void rest_health_ready(struct request *r);
void rest_metrics(struct request *r);

/* rest_packages.c */
void rest_package_install(struct request *r);
void rest_packages_installed(struct request *r);
void rest_packages_allowed(struct request *r);

/* rest_admin.c */
void rest_admin_users(struct request *r);
void rest_admin_user_create(struct request *r);
void rest_admin_user(struct request *r);
void rest_admin_user_delete(struct request *r);
void rest_admin_keys(struct request *r);
void rest_admin_key_create(struct request *r);
void rest_admin_key_delete(struct request *r);

#endif
