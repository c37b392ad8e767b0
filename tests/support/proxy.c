#include "support/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 65536, LOOK_MS = 50 };

enum cut {
    NO_CUT,
    CUT_ANSWER,  /* when it begins */
    CUT_REQUEST, /* when it was passed on whole */
    CUT_HALF     /* of the request's body */
};
static const enum cut turns[] = {CUT_ANSWER, NO_CUT, CUT_REQUEST, NO_CUT, CUT_HALF, NO_CUT};

struct connection {
    struct connection *next;
    struct proxy *proxy;
    pthread_t thread;
    int client, server;
    bool answered;         /* the server has begun to answer the request under way, or there is none */
    char head[PROXY_HEAD]; /* of the request under way */
    size_t head_size;      /* of it, NUL not counted */
    bool head_done;
    enum cut cut;
    size_t left; /* of its body */
    size_t kept; /* of its body, when it is cut: so much is not passed on */
};

struct proxy {
    int listener;
    struct sockaddr_in server;
    char url[40], method[16], path[80];
    pthread_t thread;
    pthread_mutex_t lock;
    char last[PROXY_HEAD]; /* under the lock */
    atomic_bool stop, pass;
    atomic_size_t seen, cuts;
    struct connection *connections; /* the listening thread's until it has ended */
};

static bool send_all(int socket, const char *bytes, size_t size)
{
    while (size) {
        ssize_t sent = send(socket, bytes, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        size -= (size_t)sent;
    }
    return true;
}

/* The request's head is whole: whether it is cut, and how much body follows. */
static void judge(struct connection *connection, const char *end)
{
    struct proxy *proxy = connection->proxy;
    const char *head = connection->head;
    connection->head_done = true;
    connection->left = 0;
    size_t line = strcspn(head, "\r\n");
    for (const char *at = head + line; at < end; at += 1 + strcspn(at + 1, "\n"))
        if (!strncasecmp(at, "\nContent-Length:", 16))
            connection->left = strtoull(at + 16, NULL, 10);
    connection->cut = NO_CUT;
    const char *path = strstr(head, proxy->path);
    if (!strncmp(head, proxy->method, strlen(proxy->method)) && path && path < head + line) {
        pthread_mutex_lock(&proxy->lock);
        memcpy(proxy->last, head, (size_t)(end - head));
        proxy->last[end - head] = '\0';
        pthread_mutex_unlock(&proxy->lock);
        size_t number = atomic_fetch_add(&proxy->seen, 1);
        if (!atomic_load(&proxy->pass))
            connection->cut = turns[number % (sizeof turns / sizeof *turns)];
    }
    connection->kept = connection->cut == CUT_HALF ? (connection->left + 1) / 2 : 0;
}

/* Keeps account of what the client sends. Returns how much of it is passed on; *cut: then the connection is
 * cut. */
static size_t note_request(struct connection *connection, const char *bytes, size_t size, bool *cut)
{
    size_t body = size;
    *cut = false;
    if (connection->answered) {
        connection->answered = connection->head_done = false;
        connection->head_size = 0;
        connection->cut = NO_CUT;
    }
    if (!connection->head_done) {
        size_t before = connection->head_size, room = PROXY_HEAD - 1 - before;
        memcpy(connection->head + before, bytes, size < room ? size : room);
        connection->head_size += size < room ? size : room;
        connection->head[connection->head_size] = '\0';
        const char *end = strstr(connection->head, "\r\n\r\n");
        if (!end)
            return size;
        judge(connection, end + 4);
        body = size - ((size_t)(end + 4 - connection->head) - before);
    }
    connection->left = connection->left > body ? connection->left - body : 0;
    if ((connection->cut != CUT_REQUEST && connection->cut != CUT_HALF) ||
        connection->left > connection->kept)
        return size;
    *cut = true;
    size_t kept = connection->kept - connection->left;
    return size - (kept < body ? kept : body);
}

/* false: the connection is to be cut, and these bytes are lost. */
static bool note_answer(struct connection *connection, const char *bytes, size_t size)
{
    if (size >= 12 && !strncmp(bytes, "HTTP/1.1 100", 12))
        return true;
    connection->answered = true;
    return connection->cut == NO_CUT;
}

static void *forward(void *opaque)
{
    struct connection *connection = opaque;
    struct proxy *proxy = connection->proxy;
    char *bytes = malloc(CHUNK);
    struct pollfd ends[2] = {{connection->client, POLLIN, 0}, {connection->server, POLLIN, 0}};
    while (bytes && !atomic_load(&proxy->stop)) {
        if (poll(ends, 2, LOOK_MS) <= 0)
            continue;
        if (ends[0].revents) {
            ssize_t got = recv(connection->client, bytes, CHUNK, 0);
            if (got <= 0)
                break;
            bool cut;
            size_t size = note_request(connection, bytes, (size_t)got, &cut);
            if (!send_all(connection->server, bytes, size))
                break;
            if (cut) {
                atomic_fetch_add(&proxy->cuts, 1);
                break;
            }
        }
        if (ends[1].revents) {
            ssize_t got = recv(connection->server, bytes, CHUNK, 0);
            if (got <= 0)
                break;
            if (!note_answer(connection, bytes, (size_t)got)) {
                atomic_fetch_add(&proxy->cuts, 1);
                break;
            }
            if (!send_all(connection->client, bytes, (size_t)got))
                break;
        }
    }
    close(connection->client); /* whatever still comes is answered with a reset, as by a host that is gone */
    close(connection->server);
    free(bytes);
    return NULL;
}

static void take_in(struct proxy *proxy, int client)
{
    struct connection *connection = calloc(1, sizeof *connection);
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (connection && server >= 0 &&
        !connect(server, (const struct sockaddr *)&proxy->server, sizeof proxy->server)) {
        setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connection->proxy = proxy;
        connection->client = client;
        connection->server = server;
        connection->answered = true;
        if (!pthread_create(&connection->thread, NULL, forward, connection)) {
            connection->next = proxy->connections;
            proxy->connections = connection;
            return;
        }
    }
    if (server >= 0)
        close(server);
    close(client);
    free(connection);
}

static void *listen_on(void *opaque)
{
    struct proxy *proxy = opaque;
    struct pollfd end = {proxy->listener, POLLIN, 0};
    while (!atomic_load(&proxy->stop)) {
        if (poll(&end, 1, LOOK_MS) <= 0)
            continue;
        int client = accept(proxy->listener, NULL, NULL);
        if (client >= 0)
            take_in(proxy, client);
    }
    return NULL;
}

struct proxy *proxy_start(const char *url, const char *method, const char *path)
{
    struct proxy *proxy = calloc(1, sizeof *proxy);
    char host[64];
    unsigned port;
    if (!proxy)
        return NULL;
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof own;
    pthread_mutex_init(&proxy->lock, NULL);
    snprintf(proxy->method, sizeof proxy->method, "%s ", method);
    snprintf(proxy->path, sizeof proxy->path, "%s", path);
    proxy->server.sin_family = AF_INET;
    proxy->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (proxy->listener >= 0 && sscanf(url, "http://%63[0-9.]:%u", host, &port) == 2 &&
        inet_pton(AF_INET, host, &proxy->server.sin_addr) == 1 &&
        !bind(proxy->listener, (const struct sockaddr *)&own, size) && !listen(proxy->listener, 64) &&
        !getsockname(proxy->listener, (struct sockaddr *)&own, &size)) {
        proxy->server.sin_port = htons((uint16_t)port);
        snprintf(proxy->url, sizeof proxy->url, "http://127.0.0.1:%u", ntohs(own.sin_port));
        if (!pthread_create(&proxy->thread, NULL, listen_on, proxy))
            return proxy;
    }
    if (proxy->listener >= 0)
        close(proxy->listener);
    pthread_mutex_destroy(&proxy->lock);
    free(proxy);
    return NULL;
}

const char *proxy_url(const struct proxy *proxy)
{
    return proxy->url;
}

void proxy_pass(struct proxy *proxy)
{
    atomic_store(&proxy->pass, true);
}

bool proxy_last(struct proxy *proxy, char head[PROXY_HEAD])
{
    pthread_mutex_lock(&proxy->lock);
    memcpy(head, proxy->last, PROXY_HEAD);
    pthread_mutex_unlock(&proxy->lock);
    return *head;
}

size_t proxy_cuts(struct proxy *proxy)
{
    return atomic_load(&proxy->cuts);
}

void proxy_stop(struct proxy **proxy)
{
    if (!*proxy)
        return;
    atomic_store(&(*proxy)->stop, true);
    pthread_join((*proxy)->thread, NULL);
    while ((*proxy)->connections) {
        struct connection *connection = (*proxy)->connections;
        (*proxy)->connections = connection->next;
        pthread_join(connection->thread, NULL);
        free(connection);
    }
    close((*proxy)->listener);
    pthread_mutex_destroy(&(*proxy)->lock);
    free(*proxy);
    *proxy = NULL;
}
