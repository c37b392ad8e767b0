#include "blobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void json(struct web_answer *answer, int status, const char *text)
{
    web_text(answer, status, "application/json", text);
}

static struct blob *find(struct blobs *b, const char *handle)
{
    for (int i = 0; i < b->count; i++)
        if (!strcmp(b->list[i].handle, handle))
            return &b->list[i];
    return NULL;
}

static void store(struct blobs *b, const char *handle, const char *data, size_t size)
{
    struct blob *blob = find(b, handle);
    if (!blob)
        blob = &b->list[b->count++];
    snprintf(blob->handle, sizeof blob->handle, "%s", handle);
    free(blob->data);
    blob->data = malloc(size + 1);
    memcpy(blob->data, data, size);
    blob->size = size;
}

static void give(struct blobs *b, const struct blob *blob, const struct web_request *request,
                 struct web_answer *answer)
{
    unsigned long long first = 0, last = blob->size ? blob->size - 1 : 0;
    const char *range = b->whole ? NULL : web_header(request, "Range");
    if (range)
        sscanf(range, "bytes=%llu-%llu", &first, &last);
    if (range && first >= blob->size) {
        json(answer, 416, "{\"title\":\"Behind the end\"}");
        return;
    }
    if (last >= blob->size)
        last = blob->size ? blob->size - 1 : 0;
    answer->status = range ? 206 : 200;
    answer->size = blob->size ? (size_t)(last - first + 1) : 0;
    answer->body = malloc(answer->size + 1);
    memcpy(answer->body, blob->data + first, answer->size);
}

/* All under the lock from here on. */

static void serve_blob(struct blobs *b, const struct web_request *request, struct web_answer *answer)
{
    const char *handle = strrchr(request->path, '/') + 1;
    b->requests++;
    b->running++;
    b->most_running = b->running > b->most_running ? b->running : b->most_running;
    pthread_cond_broadcast(&b->changed);
    while (b->held)
        pthread_cond_wait(&b->changed, &b->lock);
    b->running--;
    int failure = b->fail[0] ? b->fail[0] : b->always;
    memmove(b->fail, b->fail + 1, sizeof b->fail - sizeof *b->fail);
    struct blob *blob = find(b, handle);
    if (failure == -1) {
        answer->status = 0;
    } else if (failure) {
        json(answer, failure, "{\"title\":\"As asked\"}");
    } else if (!strcmp(request->method, "PUT")) {
        store(b, handle, request->body, request->size);
        answer->status = 204;
    } else if (blob) {
        give(b, blob, request, answer);
    } else {
        json(answer, 404, "{\"title\":\"No such blob\"}");
    }
}

static void serve(void *opaque, const struct web_request *request, struct web_answer *answer)
{
    struct blobs *b = opaque;
    static const char prefix[] = "/blob/layers/" BLOBS_LAYER "/data/";
    int number = -1;
    const char *given = web_header(request, "Authorization");
    char text[300];
    pthread_mutex_lock(&b->lock);
    if (given)
        sscanf(given, "Bearer token-%d", &number);
    if (!strcmp(request->path, "/token")) {
        snprintf(text, sizeof text,
                 "{\"accessToken\":\"token-%d\",\"tokenType\":\"bearer\",\"expiresIn\":86400}", ++b->tokens);
        json(answer, 200, text);
    } else if (number < b->valid_token) {
        b->refused++;
        json(answer, 401, "{\"title\":\"Token refused\"}");
    } else if (strstr(request->path, "/lookup/")) {
        snprintf(text, sizeof text, "[{\"api\":\"%s\",\"version\":\"v1\",\"baseURL\":\"%s/blob\"}]",
                 b->missing ? "ingest" : "blob", web_url(b->web));
        json(answer, 200, text);
    } else if (!strncmp(request->path, prefix, sizeof prefix - 1)) {
        serve_blob(b, request, answer);
    } else {
        json(answer, 404, "{\"title\":\"No such path\"}");
    }
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

struct blobs *blobs_start(void)
{
    struct blobs *b = calloc(1, sizeof *b);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    b->web = web_start(serve, b);
    return b;
}

void blobs_stop(struct blobs *b)
{
    blobs_release(b);
    web_stop(b->web);
    for (int i = 0; i < b->count; i++)
        free(b->list[i].data);
    free(b);
}

sl_client *blobs_client(struct blobs *b, const char *more)
{
    return web_client(b->web, more);
}

void blobs_wait(struct blobs *b, const int *what, int at_least)
{
    pthread_mutex_lock(&b->lock);
    while (*what < at_least)
        pthread_cond_wait(&b->changed, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

int blobs_get(struct blobs *b, const int *what)
{
    pthread_mutex_lock(&b->lock);
    int value = *what;
    pthread_mutex_unlock(&b->lock);
    return value;
}

void blobs_release(struct blobs *b)
{
    pthread_mutex_lock(&b->lock);
    b->held = false;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

void blobs_add(struct blobs *b, const char *handle, const char *data, size_t size)
{
    pthread_mutex_lock(&b->lock);
    store(b, handle, data, size);
    pthread_mutex_unlock(&b->lock);
}
