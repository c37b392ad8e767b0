/* A small HTTP server in the test's process, on a free port of 127.0.0.1. Each connection has a thread, so a
 * handler may wait. */
#ifndef TESTS_UNIT_WEB_H
#define TESTS_UNIT_WEB_H

#include <stdbool.h>
#include <stddef.h>
#include <streamlayer/streamlayer.h>

struct web;
struct MHD_Connection;

struct web_request {
    const char *method, *path;
    const char *body; /* NUL-terminated */
    size_t size;
    struct MHD_Connection *connection;
};

struct web_answer {
    int status; /* 0: the connection is cut without an answer */
    const char *content_type;
    const char *headers[8]; /* name, value, name, value … */
    void *body;             /* freed with free */
    size_t size;
    bool static_body; /* it is not freed */
    void *owned;      /* freed with free, when all is sent off */
};

typedef void (*web_handler)(void *opaque, const struct web_request *request, struct web_answer *answer);

struct web *web_start(web_handler handler, void *opaque);
void web_stop(struct web *web);
/* Gone, and there again at the same address. Handlers must end. */
void web_down(struct web *web);
void web_up(struct web *web);
/* "http://127.0.0.1:PORT" */
const char *web_url(const struct web *web);
unsigned web_connections(struct web *web); /* accepted so far */

const char *web_query(const struct web_request *request, const char *name);
const char *web_header(const struct web_request *request, const char *name);
/* A client of the server, which gives tokens at /token; more (may be NULL) is laid over its settings. */
sl_client *web_client(const struct web *web, const char *more);
sl_client *web_client_logged(const struct web *web, const char *more, sl_log_callback log, void *opaque);
void web_text(struct web_answer *answer, int status, const char *content_type, const char *text);
/* Answers what a client asks for before its own calls: a token, and where the API is (path, on web, with our
 * extensions where extended). False: it asks for something else. */
bool web_introduces(const struct web *web, const struct web_request *request, struct web_answer *answer,
                    const char *api, const char *version, const char *path, bool extended);

#endif
