#include "web/routes.h"

#include "base/cleanup.h"
#include "web/docs.h"
#include "web/jupyter_api.h"
#include "web/jupyter_contents.h"
#include "web/login_page.h"
#include "web/mcp_http.h"
#include "web/rest.h"
#include "web/terminal_socket.h"

#define API     "/api/v1"
#define HISTORY "session language status label since until q user limit cursor"
#define EVENTS  "after follow limit"
#define OUTPUT  "stream offset limit head tail grep ignore_case total"
#define PAGE    "limit cursor"
#define JUPYTER (ROUTE_JUPYTER | ROUTE_HIDDEN)

static const struct route ROUTES[] = {
    { "POST", API "/execute", ROUTE_BODY, "", rest_execute },
    { "POST", API "/execute/async", ROUTE_BODY, "", rest_execute_async },
    { "POST", API "/execute/batch", ROUTE_BODY, "", rest_execute_batch },
    { "GET", API "/jobs/{id}", 0, "", rest_execution },
    { "GET", API "/executions", 0, HISTORY, rest_executions },
    { "GET", API "/executions/{id}", 0, "", rest_execution },
    { "GET", API "/executions/{id}/events", 0, EVENTS, rest_execution_events },
    { "GET", API "/executions/{id}/blobs/{n}", 0, "", rest_execution_blob },
    { "GET", API "/executions/{id}/output", 0, OUTPUT, rest_execution_output },
    { "POST", API "/executions/{id}/replay", ROUTE_BODY, "async", rest_execution_replay },
    { "POST", API "/executions/{id}/interrupt", ROUTE_STORED, "", rest_execution_interrupt },
    { "POST", API "/executions/{id}/cancel", ROUTE_STORED, "", rest_execution_cancel },
    { "POST", API "/executions/{id}/input", ROUTE_BODY, "", rest_execution_input },

    { "GET", API "/stream", ROUTE_UPGRADE, "", rest_stream },
    { "GET", API "/terminals/{sandbox}", ROUTE_UPGRADE, "rows cols", rest_terminal },

    { "GET", API "/callbacks/secret", 0, "", rest_callback_secret },
    { "POST", API "/callbacks/secret", ROUTE_STORED, "", rest_callback_secret_renew },

    { "GET", API "/sessions", 0, PAGE, rest_sessions },
    { "POST", API "/sessions", ROUTE_BODY | ROUTE_STORED, "", rest_session_create },
    { "GET", API "/sessions/{name}", 0, "", rest_session },
    { "DELETE", API "/sessions/{name}", ROUTE_STORED, "", rest_session_delete },
    { "POST", API "/sessions/{name}/restart", ROUTE_STORED, "", rest_session_restart },
    { "POST", API "/sessions/{name}/interrupt", 0, "", rest_session_interrupt },
    { "GET", API "/sessions/{name}/events", 0, EVENTS, rest_session_events },
    { "GET", API "/sessions/{name}/notebook", 0, "since until outputs", rest_session_notebook },

    { "GET", API "/files", 0, PAGE " path recursive depth pattern usage sandbox", rest_files },
    { "POST", API "/files", ROUTE_BODY | ROUTE_PIECES, "sandbox", rest_files_post },
    { "POST", API "/files/mkdir", ROUTE_BODY, "sandbox", rest_files_mkdir },
    { "POST", API "/files/move", ROUTE_BODY, "sandbox", rest_files_move },
    { "GET", API "/files/{path...}", 0, "archive download sandbox", rest_file },
    { "PUT", API "/files/{path...}", ROUTE_BODY | ROUTE_PIECES, "sandbox", rest_file_put },
    { "DELETE", API "/files/{path...}", 0, "recursive sandbox", rest_file_delete },

    { "GET", API "/languages", 0, PAGE, rest_languages },
    { "GET", API "/images", 0, PAGE, rest_images },
    { "GET", API "/templates", 0, PAGE, rest_templates },

    { "GET", API "/sandboxes", 0, PAGE " label", rest_sandboxes },
    { "POST", API "/sandboxes", ROUTE_BODY | ROUTE_STORED, "", rest_sandbox_create },
    { "GET", API "/sandboxes/{sandbox}", 0, "", rest_sandbox },
    { "PATCH", API "/sandboxes/{sandbox}", ROUTE_BODY | ROUTE_STORED, "", rest_sandbox_change },
    { "DELETE", API "/sandboxes/{sandbox}", ROUTE_STORED, "", rest_sandbox_delete },
    { "POST", API "/sandboxes/{sandbox}/exec", ROUTE_BODY, "", rest_sandbox_exec },
    { "POST", API "/sandboxes/{sandbox}/reset", ROUTE_STORED, "", rest_sandbox_reset },
    { "GET", API "/sandboxes/{sandbox}/stats", 0, "", rest_sandbox_stats },
    { "GET", API "/sandboxes/{sandbox}/logs", 0, "tail", rest_sandbox_logs },
    { "GET", API "/session", 0, "", rest_default },
    { "POST", API "/session", ROUTE_BODY | ROUTE_STORED, "", rest_default_create },
    { "DELETE", API "/session", ROUTE_STORED, "purge", rest_default_delete },
    { "POST", API "/packages/install", ROUTE_BODY, "", rest_package_install },
    { "GET", API "/packages/installed", 0, PAGE " language", rest_packages_installed },
    { "GET", API "/packages/allowed/{language}", 0, "", rest_packages_allowed },
    { "GET", API "/usage", 0, "group_by", rest_usage },

    { "GET", API "/admin/users", ROUTE_ADMIN, PAGE, rest_admin_users },
    { "POST", API "/admin/users", ROUTE_ADMIN | ROUTE_BODY | ROUTE_STORED, "",
      rest_admin_user_create },
    { "GET", API "/admin/users/{name}", ROUTE_ADMIN, "", rest_admin_user },
    { "DELETE", API "/admin/users/{name}", ROUTE_ADMIN | ROUTE_STORED, "", rest_admin_user_delete },
    { "GET", API "/admin/keys", ROUTE_ADMIN, PAGE " user", rest_admin_keys },
    { "POST", API "/admin/keys", ROUTE_ADMIN | ROUTE_BODY | ROUTE_STORED, "",
      rest_admin_key_create },
    { "DELETE", API "/admin/keys/{id}", ROUTE_ADMIN | ROUTE_STORED, "", rest_admin_key_delete },
    { "GET", API "/admin/sandboxes", ROUTE_ADMIN, PAGE, rest_admin_sandboxes },
    { "DELETE", API "/admin/sandboxes/{id}", ROUTE_ADMIN | ROUTE_STORED, "",
      rest_admin_sandbox_delete },

    { "GET", API "/health", ROUTE_OPEN, "", rest_health },
    { "GET", API "/health/live", ROUTE_OPEN, "", rest_health_live },
    { "GET", API "/health/ready", ROUTE_OPEN, "", rest_health_ready },
    { "GET", API "/metrics", ROUTE_METRICS, "", rest_metrics },
    { "GET", API "/openapi.json", ROUTE_OPEN, "", docs_openapi },

    { "GET", "/mcp", ROUTE_UPGRADE, "structured", mcp_http_get },
    { "POST", "/mcp", ROUTE_BODY | ROUTE_LARGE, "structured", mcp_http_post },
    { "DELETE", "/mcp", 0, "", mcp_http_delete },
    { "GET", "/sse", ROUTE_HIDDEN, "structured", mcp_sse_get },
    { "POST", "/messages", ROUTE_BODY | ROUTE_LARGE | ROUTE_HIDDEN, "sessionId", mcp_sse_post },
    { "GET", "/.well-known/oauth-protected-resource", ROUTE_OPEN | ROUTE_HIDDEN, "", mcp_metadata },
    { "GET", "/.well-known/oauth-protected-resource/mcp", ROUTE_OPEN | ROUTE_HIDDEN, "",
      mcp_metadata },

    { "GET", "/api", JUPYTER | ROUTE_OPEN, "", jupyter_api_version },
    { "GET", "/api/status", JUPYTER, "", jupyter_api_status },
    { "GET", "/api/me", JUPYTER, "", jupyter_api_me },
    { "GET", "/api/kernelspecs", JUPYTER, "", jupyter_api_kernelspecs },
    { "GET", "/api/kernelspecs/{name}", JUPYTER, "", jupyter_api_kernelspec },
    { "GET", "/kernelspecs/{name}/{file}", JUPYTER, "", jupyter_api_logo },
    { "GET", "/api/kernels", JUPYTER, "", jupyter_api_kernels },
    { "POST", "/api/kernels", JUPYTER | ROUTE_BODY | ROUTE_STORED, "", jupyter_api_kernel_start },
    { "GET", "/api/kernels/{id}", JUPYTER, "", jupyter_api_kernel },
    { "DELETE", "/api/kernels/{id}", JUPYTER | ROUTE_STORED, "", jupyter_api_kernel_delete },
    { "POST", "/api/kernels/{id}/interrupt", JUPYTER | ROUTE_BODY, "",
      jupyter_api_kernel_interrupt },
    { "POST", "/api/kernels/{id}/restart", JUPYTER | ROUTE_BODY | ROUTE_STORED, "",
      jupyter_api_kernel_restart },
    { "GET", "/api/kernels/{id}/channels", JUPYTER | ROUTE_UPGRADE, "", jupyter_api_channels },
    { "GET", "/api/sessions", JUPYTER, "", jupyter_api_sessions },
    { "POST", "/api/sessions", JUPYTER | ROUTE_BODY | ROUTE_STORED, "", jupyter_api_session_start },
    { "GET", "/api/sessions/{id}", JUPYTER, "", jupyter_api_session },
    { "PATCH", "/api/sessions/{id}", JUPYTER | ROUTE_BODY | ROUTE_STORED, "",
      jupyter_api_session_change },
    { "DELETE", "/api/sessions/{id}", JUPYTER | ROUTE_STORED, "", jupyter_api_session_delete },

    /* the longer patterns first: a file may have their names in its path */
    { "GET", "/api/contents/{path...}/checkpoints", JUPYTER, "", jupyter_checkpoints },
    { "POST", "/api/contents/{path...}/checkpoints", JUPYTER | ROUTE_BODY, "",
      jupyter_checkpoint_create },
    { "POST", "/api/contents/{path...}/checkpoints/{id}", JUPYTER | ROUTE_BODY, "",
      jupyter_checkpoint_restore },
    { "DELETE", "/api/contents/{path...}/checkpoints/{id}", JUPYTER, "",
      jupyter_checkpoint_delete },
    { "GET", "/api/contents/{path...}", JUPYTER, "", jupyter_contents_get },
    { "POST", "/api/contents/{path...}", JUPYTER | ROUTE_BODY, "", jupyter_contents_post },
    { "PUT", "/api/contents/{path...}", JUPYTER | ROUTE_BODY | ROUTE_LARGE, "",
      jupyter_contents_put },
    { "PATCH", "/api/contents/{path...}", JUPYTER | ROUTE_BODY, "", jupyter_contents_patch },
    { "DELETE", "/api/contents/{path...}", JUPYTER, "", jupyter_contents_delete },
    { "GET", "/files/{path...}", JUPYTER, "", jupyter_files },
    { "GET", "/api/terminals", JUPYTER, "", jupyter_api_terminals },
    { "POST", "/api/terminals", JUPYTER | ROUTE_BODY, "", jupyter_api_terminal_start },
    { "GET", "/api/terminals/{name}", JUPYTER, "", jupyter_api_terminal },
    { "DELETE", "/api/terminals/{name}", JUPYTER, "", jupyter_api_terminal_delete },
    { "GET", "/terminals/websocket/{name}", JUPYTER | ROUTE_UPGRADE, "",
      jupyter_api_terminal_socket },

    /* the same where probes and scrapers look for them */
    { "GET", "/health", ROUTE_OPEN | ROUTE_HIDDEN, "", rest_health },
    { "GET", "/health/live", ROUTE_OPEN | ROUTE_HIDDEN, "", rest_health_live },
    { "GET", "/health/ready", ROUTE_OPEN | ROUTE_HIDDEN, "", rest_health_ready },
    { "GET", "/metrics", ROUTE_METRICS | ROUTE_HIDDEN, "", rest_metrics },
    { "GET", "/docs", ROUTE_OPEN | ROUTE_HIDDEN, "", docs_page },
    { "GET", "/docs/style.css", ROUTE_OPEN | ROUTE_HIDDEN, "", docs_style },
    { "GET", "/", ROUTE_OPEN | ROUTE_HIDDEN, "", docs_root },
    { "GET", "/login", ROUTE_OPEN | ROUTE_HIDDEN, "next", login_page_show },
    { "POST", "/login", ROUTE_OPEN | ROUTE_HIDDEN, "next", login_page_submit },
    { "POST", "/logout", ROUTE_OPEN | ROUTE_HIDDEN, "", login_page_leave },
};

const struct route *routes_table(size_t *ret_n)
{
    *ret_n = ARRAY_LEN(ROUTES);
    return ROUTES;
}
