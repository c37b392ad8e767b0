#include "base/server.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

bool sl_host_ok(const char *host, size_t size)
{
    static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%";
    return size >= 1 && size <= SL_HOST_MAX && strspn(host, legal) >= size;
}

bool sl_server_read(const char *text, size_t size, struct sl_server *server)
{
    const char *end = text + size, *port = NULL;
    *server = (struct sl_server){.host = text, .host_size = size};
    if (size && *text == '[') {
        const char *close = memchr(text, ']', size);
        if (!close)
            return false;
        server->host = text + 1;
        server->host_size = (size_t)(close - server->host);
        if (close + 1 < end) {
            if (close[1] != ':')
                return false;
            port = close + 2;
        }
    } else {
        const char *colon = memchr(text, ':', size);
        if (colon) {
            server->host_size = (size_t)(colon - text);
            port = colon + 1;
        }
    }
    char digits[8] = "";
    int64_t number = 0;
    if (port) {
        if ((size_t)(end - port) >= sizeof digits)
            return false;
        memcpy(digits, port, (size_t)(end - port));
        if (!sl_parse_int(digits, 1, 65535, &number))
            return false;
    }
    server->port = (int)number;
    return sl_host_ok(server->host, server->host_size);
}

bool sl_servers_ok(const char *list, char bad[SL_SERVER_TOLD])
{
    struct sl_server server;
    for (const char *rest = list; *list && rest;) {
        rest += strspn(rest, " ");
        size_t length = strcspn(rest, ","), size = length;
        while (size && rest[size - 1] == ' ')
            size--;
        if (!sl_server_read(rest, size, &server) || !server.port) {
            snprintf(bad, SL_SERVER_TOLD, "%.*s", size < 60 ? (int)size : 60, rest);
            return false;
        }
        rest = rest[length] ? rest + length + 1 : NULL;
    }
    return true;
}
