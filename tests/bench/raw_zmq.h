/* raw_zmq.h - a lean Jupyter client: libzmq straight to a kernel's ipc sockets, nothing of ours
 * between. Any failure ends the program with a message: it is a measuring tool. */
#ifndef BENCH_RAW_ZMQ_H
#define BENCH_RAW_ZMQ_H

#include "base/slice.h"
#include "tests/bench/sample.h"

struct raw_zmq;

/* `endpoint` is the sockets' path without "-1" (shell) and "-2" (iopub). The kernel need not listen
 * yet. Returns at once. */
struct raw_zmq *raw_zmq_open(const char *endpoint, const char *key);
/* The same by two addresses of ZeroMQ, whatever their transport. */
struct raw_zmq *raw_zmq_open_at(const char *shell, const char *iopub, const char *key);
void raw_zmq_close(struct raw_zmq *z);

/* Asks kernel_info until the kernel answers and iopub flows. With `once`, one request that waits.
 */
void raw_zmq_greet(struct raw_zmq *z, bool once);

/* Forgets what others caused on iopub. */
void raw_zmq_drain(struct raw_zmq *z);

/* Runs code and waits for idle and execute_reply, both of this request. */
void raw_zmq_execute(struct raw_zmq *z, struct slice code, struct sample *ret);

#endif
