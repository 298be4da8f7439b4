/* host_runtime.h - does an OCI runtime run a container as ours are, on this host? Found out by running
 * one, with a bundle of our own and without Podman. */
#ifndef SANDBOX_HOST_RUNTIME_H
#define SANDBOX_HOST_RUNTIME_H

#include "sandbox/keeper.h"

/* Runs init_path once as user 1000 in namespaces of its own with limits of memory, cpu and pids. The error says what
 * the runtime said. Takes some 100 ms, 30 s at most. */
int host_runtime_try(const char *runtime, const struct keeper_options *options, struct err *e);

/* Runs a command to its end and keeps the first bytes of its stdout (or stderr). Returns its exit code, -1 with an
 * error when it could not be run or took longer than timeout_ms. */
int host_run(char *const argv[], bool want_stderr, char *ret, size_t size, unsigned timeout_ms, struct err *e);

#endif
