/*
 * A TCP forwarder that loses answers: in front of the gateway, it cuts the connections of requests that it is
 * told to. The gateway makes its URLs of the request's Host, so whoever finds it through the proxy stays with
 * it.
 */
#ifndef TESTS_SUPPORT_PROXY_H
#define TESTS_SUPPORT_PROXY_H

#include <stdbool.h>
#include <stddef.h>

#define PROXY_HEAD 16384 /* bytes of a request's head that are looked at, NUL included */

struct proxy;

/*
 * Listens on a free port of 127.0.0.1, for the server at host and port of url (http://HOST:PORT…). Of the
 * requests whose first line holds both words, every other one is cut: in turn when its answer begins, when
 * the request was passed on whole, and when half of its body was. NULL: it could not be started.
 */
struct proxy *proxy_start(const char *url, const char *method, const char *path);
/* http://127.0.0.1:PORT */
const char *proxy_url(const struct proxy *proxy);
/* Cuts nothing from now on. */
void proxy_pass(struct proxy *proxy);
/* The head of the last such request, as text; false: there was none yet. */
bool proxy_last(struct proxy *proxy, char head[PROXY_HEAD]);
/* How many were cut so far. */
size_t proxy_cuts(struct proxy *proxy);
/* Closes all connections. */
void proxy_stop(struct proxy **proxy);

#endif
