#include "web.h"

#include "support/cases.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct web {
    struct MHD_Daemon *daemon;
    web_handler handler;
    void *opaque;
    unsigned connections, port;
    char url[64];
};

struct body {
    char *data;
    size_t size, capacity;
};

static enum MHD_Result handle(void *opaque, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *data, size_t *size,
                              void **context)
{
    struct web *web = opaque;
    struct body *body = *context;
    (void)version;
    if (!body) {
        *context = calloc(1, sizeof *body);
        return *context ? MHD_YES : MHD_NO;
    }
    if (*size) {
        /* By more than is needed: ThreadSanitizer's realloc always copies, and 20 MiB come in 32 KiB pieces.
         */
        if (body->size + *size >= body->capacity) {
            size_t capacity = 2 * (body->size + *size);
            char *longer = realloc(body->data, capacity);
            if (!longer)
                return MHD_NO;
            body->data = longer;
            body->capacity = capacity;
        }
        memcpy(body->data + body->size, data, *size);
        body->size += *size;
        body->data[body->size] = 0;
        *size = 0;
        return MHD_YES;
    }
    struct web_request request = {method, path, body->data ? body->data : "", body->size, connection};
    struct web_answer answer = {.status = 200};
    web->handler(web->opaque, &request, &answer);
    if (!answer.status) {
        free(answer.owned);
        return MHD_NO;
    }
    struct MHD_Response *response = MHD_create_response_from_buffer(
        answer.size, answer.body, answer.static_body ? MHD_RESPMEM_MUST_COPY : MHD_RESPMEM_MUST_FREE);
    if (answer.content_type)
        MHD_add_response_header(response, "Content-Type", answer.content_type);
    for (size_t i = 0; i + 1 < sizeof answer.headers / sizeof *answer.headers && answer.headers[i]; i += 2)
        MHD_add_response_header(response, answer.headers[i], answer.headers[i + 1]);
    enum MHD_Result result = MHD_queue_response(connection, (unsigned)answer.status, response);
    MHD_destroy_response(response);
    free(answer.owned);
    return result;
}

static void completed(void *opaque, struct MHD_Connection *connection, void **context,
                      enum MHD_RequestTerminationCode why)
{
    struct body *body = *context;
    (void)opaque, (void)connection, (void)why;
    if (body)
        free(body->data);
    free(body);
    *context = NULL;
}

static void connected(void *opaque, struct MHD_Connection *connection, void **context,
                      enum MHD_ConnectionNotificationCode what)
{
    struct web *web = opaque;
    (void)connection, (void)context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        __atomic_fetch_add(&web->connections, 1, __ATOMIC_SEQ_CST);
}

static void silent(void *opaque, const char *format, va_list arguments)
{
    (void)opaque, (void)format, (void)arguments;
}

static void listen_on(struct web *web, unsigned port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    web->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        handle, web, MHD_OPTION_EXTERNAL_LOGGER, silent, NULL, MHD_OPTION_SOCK_ADDR,
        (struct sockaddr *)&address, MHD_OPTION_NOTIFY_COMPLETED, completed, web,
        MHD_OPTION_NOTIFY_CONNECTION, connected, web, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)65536,
        MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
    if (!web->daemon)
        abort();
    web->port = (unsigned)MHD_get_daemon_info(web->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

struct web *web_start(web_handler handler, void *opaque)
{
    struct web *web = calloc(1, sizeof *web);
    web->handler = handler;
    web->opaque = opaque;
    listen_on(web, 0);
    snprintf(web->url, sizeof web->url, "http://127.0.0.1:%u", web->port);
    return web;
}

void web_down(struct web *web)
{
    MHD_stop_daemon(web->daemon);
    web->daemon = NULL;
}

void web_up(struct web *web)
{
    listen_on(web, web->port);
}

void web_stop(struct web *web)
{
    if (web->daemon)
        MHD_stop_daemon(web->daemon);
    free(web);
}

const char *web_url(const struct web *web)
{
    return web->url;
}

unsigned web_connections(struct web *web)
{
    return __atomic_load_n(&web->connections, __ATOMIC_SEQ_CST);
}

const char *web_query(const struct web_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *web_header(const struct web_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

void web_text(struct web_answer *answer, int status, const char *content_type, const char *text)
{
    answer->status = status;
    answer->content_type = content_type;
    answer->body = strdup(text);
    answer->size = strlen(text);
}

bool web_introduces(const struct web *web, const struct web_request *request, struct web_answer *answer,
                    const char *api, const char *version, const char *path, bool extended)
{
    char text[500];
    if (!strcmp(request->path, "/token")) {
        web_text(answer, 200, "application/json",
                 "{\"accessToken\":\"t\",\"tokenType\":\"bearer\",\"expiresIn\":86400}");
        return true;
    }
    if (!strstr(request->path, "/apis"))
        return false;
    snprintf(text, sizeof text,
             "[{\"api\":\"%s\",\"version\":\"%s\",\"baseURL\":\"%s%s\",\"parameters\":{%s}}]", api, version,
             web_url(web), path, extended ? "\"streamlayer\":\"1\"" : "");
    web_text(answer, 200, "application/json", text);
    return true;
}

sl_client *web_client(const struct web *web, const char *more)
{
    return web_client_logged(web, more, NULL, NULL);
}

sl_client *web_client_logged(const struct web *web, const char *more, sl_log_callback log, void *opaque)
{
    char text[2000];
    int size =
        snprintf(text, sizeof text,
                 "here.platform.data-client {\n"
                 " endpoint-locator.discovery-service-url = \"%s\"\n"
                 " request-signer.credentials.here-account { here-token-endpoint-url = \"%s/token\"\n"
                 "  here-client-id = app, here-access-key-id = key, here-access-key-secret = secret }\n"
                 " http.retry { backoff = 5 ms, max-backoff = 50 ms }\n"
                 "}\n%s\n",
                 web_url(web), web_url(web), more ? more : "");
    assert_in_range(size, 1, sizeof text - 1);
    sl_config *config = NULL;
    sl_client *client = NULL;
    sl_error error;
    assert_int_equal(sl_config_create(&config, &error), SL_OK);
    if (sl_config_parse(config, text, (size_t)size, "test", &error) ||
        sl_client_create(config, log, opaque, &client, &error))
        fail_msg("%s", error.text);
    sl_config_destroy(&config);
    return client;
}
