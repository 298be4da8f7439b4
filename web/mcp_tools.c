/* What models read. Schemas are flat: no anyOf at the root, no $ref, for some of their makers refuse such tools. */
#include "web/mcp_tools.h"

/* Set by hand: a property a line. */
/* clang-format off */

/* ---- schemas ---- */

#define OBJECT(required, properties) \
    "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[" required "],\"properties\":{" properties "}}"
#define RESULT(required, properties) \
    "{\"type\":\"object\",\"required\":[" required "],\"properties\":{" properties "}}"

#define DESCRIBED(text) ",\"description\":\"" text "\"}"
#define TYPED(name, type) "\"" name "\":{\"type\":\"" type "\""
#define STRING(name, text) TYPED(name, "string") DESCRIBED(text)
#define INTEGER(name, min, max, text) TYPED(name, "integer") ",\"minimum\":" min ",\"maximum\":" max DESCRIBED(text)
#define FLAG(name, otherwise, text) TYPED(name, "boolean") ",\"default\":" otherwise DESCRIBED(text)
#define CHOICE(name, values, otherwise, text) \
    TYPED(name, "string") ",\"enum\":[" values "],\"default\":\"" otherwise "\"" DESCRIBED(text)

#define SAYS(name, type) TYPED(name, type) "}"
#define SAYS_LIST(name) TYPED(name, "array") ",\"items\":{\"type\":\"string\"}}"
#define SAYS_ITEMS(name, required, properties) TYPED(name, "array") ",\"items\":" RESULT(required, properties) "}"

#define HINTS(title, ro, de, id) \
    "{\"title\":\"" title "\",\"readOnlyHint\":" ro ",\"destructiveHint\":" de ",\"idempotentHint\":" id ",\"openWorldHint\":false}"
#define LARGE "{\"anthropic/maxResultSizeChars\":200000}"

/* ---- arguments of several tools ---- */

#define MAX_CHARS \
    INTEGER("max_output_chars", "1000", "200000", \
            "Most characters of text in the result. Default 20000. What is cut says how to read the rest.")
#define SANDBOX \
    STRING("sandbox_id", "Id or name from an earlier result. Omit it to use your default sandbox, which is made when it is missing.")
#define CODE \
    STRING("code", "Source code. In Python, %magics and !shell work; the value of the last expression is returned.")
#define LANGUAGE \
    STRING("language", "python (default), bash, javascript, typescript, or another language of the sandbox's image. " \
                       "Each language has a kernel of its own; all see the same files.")
#define TIMEOUT_SECONDS(text) \
    TYPED("timeout_seconds", "number") ",\"exclusiveMinimum\":0" \
    DESCRIBED("The code is interrupted after this many seconds; variables are kept. " text)
#define TIMEOUT \
    TIMEOUT_SECONDS("Default 60, with background=true 3600. Above 50 use background=true, for many clients give up after a minute.")
#define TIMEOUT_IN_FRONT \
    TIMEOUT_SECONDS("Default 60. Above 50 use execute_code with background=true, for many clients give up after a minute.")
#define CURSOR STRING("cursor", "From the page before, as it stood there.")

/* ---- results of several tools ---- */

#define STATUS \
    TYPED("status", "string") ",\"enum\":[\"queued\",\"running\",\"waiting_input\",\"ok\",\"error\",\"interrupted\"," \
    "\"timeout\",\"oom\",\"kernel_died\",\"cancelled\",\"lost\"]}"
#define ERROR \
    TYPED("error", "object") ",\"properties\":{" SAYS("name", "string") "," SAYS("message", "string") "," SAYS("traceback", "string") "}}"
#define ARTIFACTS \
    SAYS_ITEMS("artifacts", "\"uri\",\"mime_type\",\"bytes\"", \
               SAYS("uri", "string") "," SAYS("mime_type", "string") "," SAYS("bytes", "integer") "," SAYS("inlined", "boolean"))
#define FILES_CHANGED \
    SAYS_ITEMS("files_changed", "\"path\",\"change\"", \
               SAYS("path", "string") "," SAYS("change", "string") "," SAYS("bytes", "integer"))
#define EXECUTION \
    SAYS("sandbox_id", "string") "," SAYS("session", "string") "," SAYS("execution_id", "string") "," \
    SAYS("execution_count", "integer") "," STATUS "," SAYS("exit_code", "integer") "," \
    SAYS("stdout", "string") "," SAYS("stderr", "string") "," SAYS("result", "string") "," ERROR "," \
    ARTIFACTS "," FILES_CHANGED "," SAYS("truncated", "boolean") "," SAYS("output_uri", "string") "," \
    SAYS("stdout_bytes", "integer") "," SAYS("stderr_bytes", "integer") "," SAYS("duration_ms", "number")
#define EXECUTION_REQUIRED "\"sandbox_id\",\"execution_id\",\"status\",\"stdout\",\"stderr\",\"truncated\""
#define SANDBOX_SAYS \
    SAYS("sandbox_id", "string") "," SAYS("name", "string") "," SAYS("state", "string") "," SAYS("template", "string") "," \
    SAYS("workspace", "string") "," SAYS("expires_at", "string")

const struct mcp_tool MCP_TOOLS[MCP_N_TOOLS] = {
    { .name = "list_sandboxes",
      .title = "List sandboxes",
      .description =
          "List your sandboxes with their ids, names, states and sessions, and the executions that run there. Use it to find an id that you "
          "have lost. Sandboxes "
          "belong to you, not to this conversation: other clients of yours see and use the same ones.",
      .input_schema = OBJECT("",
          INTEGER("limit", "1", "500", "Most sandboxes on a page. Default 50.") ","
          CURSOR ","
          MAX_CHARS),
      .output_schema = RESULT("\"sandboxes\",\"count\"",
          SAYS_ITEMS("sandboxes", "\"sandbox_id\"",
                     SANDBOX_SAYS ","
                     SAYS_ITEMS("running", "\"session\",\"execution_id\"",
                                SAYS("session", "string") "," SAYS("execution_id", "string"))) ","
          SAYS("count", "integer") ","
          SAYS("next_cursor", "string")),
      .annotations = HINTS("List sandboxes", "true", "false", "true"),
      .call = mcp_list_sandboxes },

    { .name = "execute_code",
      .title = "Execute code",
      .description =
          "Run code in a persistent Jupyter kernel inside an isolated container and return stdout, stderr, the value of the last "
          "expression, errors and plots. Variables, imports and files survive between calls with the same sandbox_id, language and "
          "session; without sandbox_id your default sandbox is used. The working directory is /workspace; use list_files, upload_file "
          "and download_file for files. Figures (matplotlib and others) come back as images by themselves: do not print base64. Text "
          "output is cut to max_output_chars; the whole is kept and get_execution reads any part of it. An exception in your code is a "
          "normal result with status error and its traceback. Sandboxes that nobody uses for 30 minutes end: variables are lost then, "
          "files are kept.",
      .input_schema = OBJECT("\"code\"",
          CODE ","
          SANDBOX ","
          LANGUAGE ","
          STRING("session", "Name of a kernel beside the language's own one, to keep variables apart. Made when it is missing.") ","
          TIMEOUT ","
          FLAG("background", "false", "Return at once with the execution_id; get_execution waits for the end.") ","
          FLAG("persistent", "true", "false: a fresh kernel for this code alone, gone afterwards.") ","
          MAX_CHARS),
      .output_schema = RESULT(EXECUTION_REQUIRED, EXECUTION),
      .annotations = HINTS("Execute code", "false", "true", "false"),
      .meta = LARGE,
      .call = mcp_execute_code },

    { .name = "create_sandbox",
      .title = "Create a sandbox",
      .description =
          "Make a sandbox of your own name, beside the default one: separate kernels and processes, and the same files unless workspace "
          "is private. You rarely need it: execute_code makes the default sandbox by itself. A name that is there already gives that "
          "sandbox, with created=false. With packages they are installed first; name=\"default\" does so for the default sandbox.",
      .input_schema = OBJECT("",
          STRING("name", "1 to 63 letters, digits, dots, dashes and underscores. Omit it to have one made up.") ","
          STRING("language", "Start this language's kernel at once: python, bash, javascript, typescript …") ","
          TYPED("packages", "array") ",\"items\":{\"type\":\"string\"}"
          DESCRIBED("Install these first, as numpy or numpy>=2: for the language (python unless said), in all your sandboxes, for good. Only what the administrator allows.") ","
          STRING("template", "Name of an image. Omit it for the default one.") ","
          INTEGER("idle_seconds", "1", "31536000", "It ends after this long without use. Default 1800.") ","
          INTEGER("ttl_seconds", "1", "31536000", "It ends after this long in any case. Default: never.") ","
          CHOICE("workspace", "\"shared\",\"private\"", "shared", "private: /workspace is its own, empty, and deleted with it.") ","
          TYPED("labels", "object") ",\"additionalProperties\":{\"type\":\"string\"}" DESCRIBED("Names and values of your choice.") ","
          STRING("namespace", "Accepted for other services' clients; it means nothing here.") ","
          MAX_CHARS),
      .output_schema = RESULT("\"sandbox_id\",\"name\",\"created\"",
          SANDBOX_SAYS ","
          SAYS("created", "boolean") ","
          SAYS("session", "string") ","
          SAYS("language", "string") ","
          SAYS_LIST("installed")),
      .annotations = HINTS("Create a sandbox", "false", "false", "false"),
      .flags = MCP_TOOL_STORED,
      .call = mcp_create_sandbox },

    { .name = "run_code",
      .title = "Run code in a sandbox",
      .description =
          "Run code in a sandbox made by create_sandbox, by its name. The same as execute_code with sandbox_id, for clients that expect "
          "this name. Variables and files survive between calls.",
      .input_schema = OBJECT("\"sandbox_name\",\"code\"",
          STRING("sandbox_name", "Name or id of the sandbox.") ","
          CODE ","
          LANGUAGE ","
          TIMEOUT_IN_FRONT ","
          MAX_CHARS),
      .output_schema = RESULT(EXECUTION_REQUIRED ",\"success\",\"output\"",
          EXECUTION ","
          SAYS("success", "boolean") ","
          SAYS("output", "string")),
      .annotations = HINTS("Run code in a sandbox", "false", "true", "false"),
      .meta = LARGE,
      .call = mcp_run_code },

    { .name = "get_execution",
      .title = "Look at an execution",
      .description =
          "Show an execution: its status and output so far, or its end. With wait_seconds it waits for the end that long. With stream, "
          "offset, limit, head, tail or grep it reads a part of one of its outputs instead: use that for what was cut. offset and limit "
          "count bytes, head and tail lines; next_offset is where the next part begins.",
      .input_schema = OBJECT("\"execution_id\"",
          STRING("execution_id", "From execute_code's result.") ","
          INTEGER("wait_seconds", "0", "50", "Wait up to this long for the end. Default 0.") ","
          STRING("stream", "stdout (default), stderr, result, error (the traceback), or output-1, output-2 … for what it displayed.") ","
          INTEGER("offset", "0", "1000000000000000", "First byte. Default 0.") ","
          INTEGER("limit", "1", "1000000000000000", "Most bytes; no more than max_output_chars allows.") ","
          INTEGER("head", "1", "1000000", "Only the first lines.") ","
          INTEGER("tail", "1", "1000000", "Only the last lines.") ","
          STRING("grep", "Only lines that hold this text (plain text, no pattern).") ","
          MAX_CHARS),
      .output_schema = RESULT("\"execution_id\",\"truncated\"",
          EXECUTION ","
          SAYS("stream", "string") ","
          SAYS("text", "string") ","
          SAYS("next_offset", "integer") ","
          SAYS("ended", "boolean")),
      .annotations = HINTS("Look at an execution", "true", "false", "true"),
      .meta = LARGE,
      .call = mcp_get_execution },

    { .name = "interrupt_execution",
      .title = "Interrupt what runs",
      .description =
          "Stop code that runs too long: one execution by its id, or all that runs in a sandbox. It is interrupted as by Ctrl-C, "
          "variables are kept. restart=true gives the sandbox's kernels anew instead, when they do not react any more: variables are "
          "lost, files are kept.",
      .input_schema = OBJECT("",
          STRING("sandbox_id", "Id or name of the sandbox. Default: your default sandbox.") ","
          STRING("execution_id", "Only this execution; alone.") ","
          STRING("session", "Only this session of the sandbox.") ","
          FLAG("restart", "false", "Fresh kernels: variables are lost.") ","
          MAX_CHARS),
      .output_schema = RESULT("\"interrupted\",\"restarted\"",
          SAYS("sandbox_id", "string") ","
          SAYS_LIST("interrupted") ","
          SAYS_LIST("restarted")),
      .annotations = HINTS("Interrupt what runs", "false", "true", "true"),
      .flags = MCP_TOOL_STORED | MCP_TOOL_ENDS,
      .call = mcp_interrupt_execution },

    { .name = "list_files",
      .title = "List files",
      .description =
          "List files of the workspace: size, time of the last change and path, one a line. Folders end with a slash. Paths are relative "
          "to /workspace, where code runs.",
      .input_schema = OBJECT("",
          STRING("path", "Folder. Default: the whole workspace.") ","
          SANDBOX ","
          INTEGER("depth", "1", "16", "How many levels of folders. Default 3.") ","
          STRING("pattern", "Only names like *.csv; with a slash, paths like plots/**/*.png.") ","
          INTEGER("limit", "1", "1000", "Most entries on a page. Default 100.") ","
          CURSOR ","
          MAX_CHARS),
      .output_schema = RESULT("\"files\",\"count\"",
          SAYS_ITEMS("files", "\"path\",\"type\"",
                     SAYS("path", "string") "," SAYS("type", "string") "," SAYS("size_bytes", "integer") "," SAYS("modified_at", "string")) ","
          SAYS("count", "integer") ","
          SAYS("next_cursor", "string")),
      .annotations = HINTS("List files", "true", "false", "true"),
      .meta = LARGE,
      .call = mcp_list_files },

    { .name = "upload_file",
      .title = "Write a file",
      .description =
          "Write a file of the workspace, whole: text, or bytes as base64, at most 10 MiB. Folders on its way are made. Code finds it at "
          "/workspace/PATH.",
      .input_schema = OBJECT("\"path\",\"content\"",
          STRING("path", "Where, relative to the workspace.") ","
          STRING("content", "What is in it.") ","
          CHOICE("encoding", "\"utf-8\",\"base64\"", "utf-8", "How content is written.") ","
          SANDBOX ","
          FLAG("overwrite", "true", "false: an error when the file is there already.") ","
          MAX_CHARS),
      .output_schema = RESULT("\"path\",\"size_bytes\",\"sha256\"",
          SAYS("path", "string") ","
          SAYS("size_bytes", "integer") ","
          SAYS("sha256", "string") ","
          SAYS("created", "boolean")),
      .annotations = HINTS("Write a file", "false", "true", "true"),
      .call = mcp_upload_file },

    { .name = "download_file",
      .title = "Read a file",
      .description =
          "Read a file of the workspace. Text comes as text, a part at a time (offset, next_offset); a PNG, JPEG, GIF or WebP image of "
          "moderate size as an image; other files as a link, or as base64 when you ask for it.",
      .input_schema = OBJECT("\"path\"",
          STRING("path", "Relative to the workspace.") ","
          SANDBOX ","
          INTEGER("offset", "0", "1000000000000000", "First byte. Default 0.") ","
          INTEGER("max_bytes", "1", "1048576", "Most bytes; no more than max_output_chars allows. Default 65536.") ","
          CHOICE("encoding", "\"auto\",\"utf-8\",\"base64\"", "auto", "utf-8: fail when it is no text. base64: bytes, whatever it is.") ","
          MAX_CHARS),
      .output_schema = RESULT("\"path\",\"size_bytes\",\"encoding\",\"truncated\"",
          SAYS("path", "string") ","
          SAYS("size_bytes", "integer") ","
          SAYS("mime_type", "string") ","
          SAYS("encoding", "string") ","
          SAYS("content", "string") ","
          SAYS("offset", "integer") ","
          SAYS("next_offset", "integer") ","
          SAYS("uri", "string") ","
          SAYS("truncated", "boolean")),
      .annotations = HINTS("Read a file", "true", "false", "true"),
      .meta = LARGE,
      .call = mcp_download_file },

    { .name = "destroy_sandbox",
      .title = "End a sandbox",
      .description =
          "End a sandbox: its kernels, processes and variables, and its files when its workspace is private. Shared files are kept. One "
          "that is not there is no error.",
      .input_schema = OBJECT("\"sandbox_name\"",
          STRING("sandbox_name", "Name or id of the sandbox.") ","
          MAX_CHARS),
      .output_schema = RESULT("\"sandbox_name\",\"existed\"",
          SAYS("sandbox_name", "string") ","
          SAYS("sandbox_id", "string") ","
          SAYS("existed", "boolean") ","
          SAYS("success", "boolean")),
      .annotations = HINTS("End a sandbox", "false", "true", "true"),
      .flags = MCP_TOOL_STORED | MCP_TOOL_ENDS,
      .call = mcp_destroy_sandbox },
};

/* clang-format on */
