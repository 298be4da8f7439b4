#include "kernelhub/outcome.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"

static void copy_member(struct slice object, const char *key, char *ret, size_t size)
{
    char *text = json_member_dup(object, key, 1 << 16);
    ret[0] = '\0';
    if (!text)
        return;
    size_t n = strlen(text) < size ? strlen(text) : size - 1;
    memcpy(ret, text, n);
    ret[n] = '\0';
    free(text);
}

static void int_member(struct slice object, const char *key, int64_t otherwise, int64_t *ret)
{
    if (!json_member_int(object, key, ret))
        *ret = otherwise;
}

static void read_common(struct slice json, const char *exit_key, struct outcome_reply *ret)
{
    *ret = (struct outcome_reply){ .seen = true };
    copy_member(json, "status", ret->status, sizeof ret->status);
    copy_member(json, "ename", ret->ename, sizeof ret->ename);
    copy_member(json, "evalue", ret->evalue, sizeof ret->evalue);
    int_member(json, "execution_count", -1, &ret->execution_count);
    int_member(json, exit_key, OUTCOME_NO_CODE, &ret->exit_code);
}

void outcome_read_reply(struct slice content, struct outcome_reply *ret)
{
    read_common(content, "kernelhub_exit_code", ret);
}

void outcome_write_reply(const struct outcome_reply *r, struct buf *out)
{
    buf_add_str(out, "{\"status\":");
    json_quote_str(out, r->status);
    buf_add_str(out, ",\"ename\":");
    json_quote_str(out, r->ename);
    buf_add_str(out, ",\"evalue\":");
    json_quote_str(out, r->evalue);
    buf_addf(out, ",\"execution_count\":%lld,\"exit_code\":%lld}", (long long)r->execution_count,
             (long long)r->exit_code);
}

void outcome_parse_reply(struct slice json, struct outcome_reply *ret)
{
    if (json.len == 0)
        *ret = (struct outcome_reply){ .execution_count = -1, .exit_code = OUTCOME_NO_CODE };
    else
        read_common(json, "exit_code", ret);
}

void outcome_end_unseen(struct outcome_end *ret, const char *how)
{
    *ret = (struct outcome_end){ .exit_code = OUTCOME_NO_CODE,
                                 .signal = OUTCOME_NO_CODE,
                                 .cpu_us = -1,
                                 .memory_bytes = -1,
                                 .memory_peak_bytes = -1,
                                 .pids = -1 };
    (void)snprintf(ret->how, sizeof ret->how, "%s", how);
}

bool outcome_read_end(struct slice json, struct outcome_end *ret)
{
    struct slice usage = { 0 };
    *ret = (struct outcome_end){ 0 };
    if (!json_valid(json) || json_type(json) != JSON_OBJECT)
        return false;
    copy_member(json, "how", ret->how, sizeof ret->how);
    (void)json_member_bool(json, "complete", &ret->complete); /* absent: false, as below */
    (void)json_member_bool(json, "interrupted", &ret->interrupted);
    (void)json_member_bool(json, "timed_out", &ret->timed_out);
    (void)json_member_bool(json, "oom", &ret->oom);
    int_member(json, "exit_code", OUTCOME_NO_CODE, &ret->exit_code);
    int_member(json, "signal", OUTCOME_NO_CODE, &ret->signal);
    int_member(json, "duration_us", 0, &ret->duration_us);
    (void)json_member(json, "usage", &usage);
    int_member(usage, "cpu_us", -1, &ret->cpu_us);
    int_member(usage, "memory_bytes", -1, &ret->memory_bytes);
    int_member(usage, "memory_peak_bytes", -1, &ret->memory_peak_bytes);
    int_member(usage, "pids", -1, &ret->pids);
    return true;
}

static struct outcome of_death(const struct outcome_end *end)
{
    if (end->oom)
        return (struct outcome){ STATUS_OOM, 137,
                                 "the sandbox ran out of memory and the kernel was killed" };
    int64_t code = end->signal > 0 ? 128 + end->signal : end->exit_code;
    return (struct outcome){ STATUS_KERNEL_DIED, code,
                             "the kernel's process ended while the code ran" };
}

static struct outcome of_error(const struct outcome_reply *reply, const struct outcome_end *end)
{
    if (end->interrupted)
        return (struct outcome){ STATUS_INTERRUPTED, 130, NULL };
    if (reply->exit_code != OUTCOME_NO_CODE)
        return (struct outcome){ STATUS_ERROR, reply->exit_code, NULL };
    if (strcmp(reply->ename, "SystemExit") == 0) {
        char *rest;
        long code = strtol(reply->evalue, &rest, 10);
        if (reply->evalue[0] == '\0' || strcmp(reply->evalue, "None") == 0)
            code = 0;
        else if (*rest != '\0')
            code = 1; /* sys.exit("message") */
        return (struct outcome){ code == 0 ? STATUS_OK : STATUS_ERROR, code & 0xff, NULL };
    }
    return (struct outcome){ STATUS_ERROR, 1, NULL };
}

static struct outcome of_done(const struct outcome_reply *reply, const struct outcome_end *end,
                              bool saw_error)
{
    if (end->timed_out)
        return (struct outcome){
            STATUS_TIMEOUT, 124,
            "the time limit was reached; the code was interrupted and the kernel kept its state"
        };
    if (!reply->seen) {
        if (end->interrupted)
            return (struct outcome){ STATUS_INTERRUPTED, 130, "the kernel sent no reply" };
        return (struct outcome){ saw_error ? STATUS_ERROR : STATUS_OK,
                                 saw_error ? 1 : OUTCOME_NO_CODE, "the kernel sent no reply" };
    }
    if (strcmp(reply->status, "ok") == 0)
        return (struct outcome){ STATUS_OK,
                                 reply->exit_code == OUTCOME_NO_CODE ? 0 : reply->exit_code, NULL };
    if (strcmp(reply->status, "aborted") == 0 || strcmp(reply->status, "abort") == 0) {
        if (end->interrupted)
            return (struct outcome){ STATUS_INTERRUPTED, 130, NULL };
        return (struct outcome){ STATUS_CANCELLED, OUTCOME_NO_CODE,
                                 "the kernel aborted it before it ran" };
    }
    return of_error(reply, end);
}

struct outcome outcome_of(const struct outcome_reply *reply, const struct outcome_end *end,
                          bool saw_error)
{
    if (strcmp(end->how, "done") == 0)
        return of_done(reply, end, saw_error);
    if (strcmp(end->how, "died") == 0)
        return of_death(end);
    if (strcmp(end->how, "killed") == 0) {
        if (end->timed_out)
            return (
                struct outcome){ STATUS_TIMEOUT, 124,
                                 "the time limit was reached; the code did not stop when "
                                 "interrupted, so the kernel was killed and its state is lost" };
        return (struct outcome){ STATUS_INTERRUPTED, 130,
                                 "the kernel was ended while the code ran; its state is lost" };
    }
    return (struct outcome){ STATUS_LOST, OUTCOME_NO_CODE,
                             "what became of the code cannot be known" };
}

static struct outcome command_timeout(const struct outcome_end *end)
{
    return (struct outcome){ STATUS_TIMEOUT, 124,
                             end->signal == SIGKILL
                                 ? "the time limit was reached; the command did not stop when "
                                   "interrupted and was killed with all it started"
                                 : "the time limit was reached and the command was interrupted" };
}

struct outcome outcome_of_command(const struct outcome_end *end)
{
    int64_t code = end->signal > 0 ? 128 + end->signal : end->exit_code;
    bool died = strcmp(end->how, "died") == 0;
    if (end->oom)
        return (struct outcome){ STATUS_OOM, 137,
                                 "the sandbox ran out of memory and the command was killed" };
    if (strcmp(end->how, "killed") == 0)
        return (struct outcome){ STATUS_INTERRUPTED, code == OUTCOME_NO_CODE ? 130 : code,
                                 "the command was stopped" };
    if (died)
        return (struct outcome){ STATUS_KERNEL_DIED, code,
                                 "the sandbox ended while the command ran" };
    if (strcmp(end->how, "done") != 0)
        return (struct outcome){ STATUS_LOST, OUTCOME_NO_CODE,
                                 "what became of the command cannot be known" };
    if (end->timed_out)
        return command_timeout(end);
    if (code == 0)
        return (struct outcome){ STATUS_OK, 0, NULL };
    return (struct outcome){ end->interrupted ? STATUS_INTERRUPTED : STATUS_ERROR, code, NULL };
}
