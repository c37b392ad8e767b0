/* A small HTTP client over a plain socket, for tests that look at what the server writes byte by byte. */
#ifndef TESTS_GW_CLIENT_H
#define TESTS_GW_CLIENT_H

#include <arpa/inet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct answer {
    char text[16384]; /* head and body */
    int status;       /* 0: the connection ended before a whole answer came */
    const char *body;
};

static inline int client_connect(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address)) {
        close(fd);
        return -1;
    }
    return fd;
}

static inline void client_write(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t written = send(fd, data, size, MSG_NOSIGNAL);
        if (written <= 0)
            return; /* the answer tells */
        data += written;
        size -= (size_t)written;
    }
}

/* Reads one answer, not a byte of the next one. has_body: false for HEAD. */
static inline void client_read(int fd, struct answer *answer, bool has_body)
{
    size_t size = 0, wanted = 0;
    memset(answer, 0, sizeof *answer);
    answer->body = "";
    while (size < sizeof answer->text - 1 && (!wanted || size < wanted)) {
        struct pollfd ready = {fd, POLLIN, 0};
        size_t piece = wanted ? wanted - size : 1;
        if (piece > sizeof answer->text - 1 - size)
            piece = sizeof answer->text - 1 - size; /* the rest is not looked at */
        if (poll(&ready, 1, 20000) != 1)
            return;
        ssize_t got = recv(fd, answer->text + size, piece, 0);
        if (got <= 0)
            return;
        size += (size_t)got;
        char *end = wanted ? NULL : strstr(answer->text, "\r\n\r\n");
        if (end) {
            const char *length = strstr(answer->text, "Content-Length: ");
            wanted =
                (size_t)(end + 4 - answer->text) + (length && has_body ? strtoul(length + 16, NULL, 10) : 0);
            answer->body = end + 4;
        }
    }
    answer->status = atoi(answer->text + 9);
}

/* One request on a connection of its own. */
static inline void client_ask(uint16_t port, const char *request, struct answer *answer)
{
    int fd = client_connect(port);
    memset(answer, 0, sizeof *answer);
    answer->body = "";
    if (fd < 0)
        return;
    client_write(fd, request, strlen(request));
    client_read(fd, answer, strncmp(request, "HEAD", 4) != 0);
    close(fd);
}

#endif
