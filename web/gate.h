/* gate.h - who may come in: what is checked of a request before its body is read. */
#ifndef WEB_GATE_H
#define WEB_GATE_H

#include "base/err.h"

struct request;

/* Reads the head, finds the route, the parameters and the user. May reply by itself (OPTIONS). */
int gate_pass(struct request *r, const char *method, struct err *e)
    __attribute__((warn_unused_result));

#endif
