/* Servers as settings and platforms name them: HOST, HOST:PORT, [V6] or [V6]:PORT. */
#ifndef SL_BASE_SERVER_H
#define SL_BASE_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#define SL_HOST_MAX 255

struct sl_server {
    const char *host; /* in the text, without brackets */
    size_t host_size;
    int port; /* 0: none is named */
};

/* Whether a host's name or address has what these consist of. */
bool sl_host_ok(const char *host, size_t size);
/* Whether the text, of size bytes, names a server. */
bool sl_server_read(const char *text, size_t size, struct sl_server *server);

#define SL_SERVER_TOLD 64
/* Whether each part of the list, separated by commas, names a server and its port. bad: the first that does
 * not, cut short. */
bool sl_servers_ok(const char *list, char bad[SL_SERVER_TOLD]);

#endif
