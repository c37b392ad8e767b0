/* What a server begins with: sockets that are bound to its address, and the files of TLS. It may need rights
 * that are given up before the rest begins. */
#include "gateway/http/internal.h"

#include "base/error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set))
        return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? (unsigned)count : 1;
}

static sl_status resolve(const char *address, uint16_t port, struct addrinfo **found, sl_error *error)
{
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    int code = getaddrinfo(address, service, &hints, found);
    if (code)
        return sl_error_set(error, SL_BAD_CONFIG, "the listening address \"%s\" is not known: %s", address,
                            gai_strerror(code));
    return SL_OK;
}

static uint16_t *port_of(struct sockaddr *address)
{
    if (address->sa_family == AF_INET6)
        return &((struct sockaddr_in6 *)(void *)address)->sin6_port;
    return &((struct sockaddr_in *)(void *)address)->sin_port;
}

/* Whether another program has the port: SO_REUSEPORT would quietly share it with another gateway of the same
 * user. errno says why. */
static bool is_taken(const struct addrinfo *address)
{
    int on = 1, probe = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0)
        return false;
    setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool taken = *port_of(address->ai_addr) && bind(probe, address->ai_addr, address->ai_addrlen);
    int reason = errno;
    close(probe);
    errno = reason;
    return taken;
}

/* address gets the port that the first socket was given, which the others follow. */
static bool bind_one(int fd, struct addrinfo *address, bool first)
{
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* connections inherit it */
    if (first && is_taken(address))
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (bind(fd, address->ai_addr, address->ai_addrlen))
        return false;
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    memset(&bound, 0, sizeof bound);
    if (getsockname(fd, (struct sockaddr *)&bound, &size))
        return false;
    *port_of(address->ai_addr) = *port_of((struct sockaddr *)&bound);
    return true;
}

static sl_status refuse_port(const char *name, unsigned port, int code, sl_error *error)
{
    const char *text = sl_errno_text(code);
    if (code == EADDRINUSE)
        return sl_error_set(
            error, SL_IO,
            "cannot listen on %s port %u: %s: stop the program that listens there (\"ss -ltnp "
            "sport = :%u\" names it), or choose another port",
            name, port, text, port);
    if (code == EACCES)
        return sl_error_set(
            error, SL_IO,
            "cannot listen on %s port %u: %s: a port below 1024 needs root, who may be left with "
            "--user, or CAP_NET_BIND_SERVICE; or choose another port",
            name, port, text);
    return sl_error_set(error, SL_IO, "cannot listen on %s port %u: %s: choose another address or port", name,
                        port, text);
}

static sl_status bind_all(struct gw_bound *bound, const struct gw_server_settings *settings, sl_error *error)
{
    struct addrinfo *address = NULL;
    const char *name = settings->address ? settings->address : "127.0.0.1";
    sl_status status = resolve(name, settings->port, &address, error);
    for (unsigned i = 0; i < bound->count && !status; i++) {
        int fd = bound->fds[i] = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
            status = sl_error_set(error, SL_IO, "cannot make a socket: %s", sl_errno_text(errno));
        else if (!bind_one(fd, address, i == 0))
            status = refuse_port(name, ntohs(*port_of(address->ai_addr)), errno, error);
    }
    if (!status)
        bound->port = ntohs(*port_of(address->ai_addr));
    if (address)
        freeaddrinfo(address);
    return status;
}

unsigned gw_server_loops_of(const struct gw_server_settings *settings)
{
    if (settings->bound)
        return settings->bound->count;
    return settings->loops ? settings->loops : cores();
}

sl_status gw_server_bind(const struct gw_server_settings *settings, const struct sl_log *log,
                         struct gw_bound **out, sl_error *error)
{
    unsigned count = gw_server_loops_of(settings);
    struct gw_bound *bound = *out = calloc(1, sizeof *bound + count * sizeof *bound->fds);
    if (!bound)
        return sl_error_oom(error);
    bound->count = count;
    for (unsigned i = 0; i < count; i++)
        bound->fds[i] = -1;
    sl_status status = settings->tls ? gw_tls_load(settings->tls, log, &bound->tls, error) : SL_OK;
    if (!status)
        status = bind_all(bound, settings, error);
    if (status)
        gw_bound_free(out);
    return status;
}

sl_status gw_bound_listen(struct gw_bound *bound, struct gw_server *server, sl_error *error)
{
    for (unsigned i = 0; i < bound->count; i++) {
        if (listen(bound->fds[i], SOMAXCONN))
            return sl_error_set(error, SL_IO, "cannot listen on port %u: %s", (unsigned)bound->port,
                                sl_errno_text(errno));
        server->loops[i].listen_fd = bound->fds[i];
        bound->fds[i] = -1;
    }
    server->port = bound->port;
    server->tls = bound->tls;
    bound->tls = NULL;
    return SL_OK;
}

void gw_bound_free(struct gw_bound **out)
{
    struct gw_bound *bound = *out;
    if (!bound)
        return;
    *out = NULL;
    for (unsigned i = 0; i < bound->count; i++)
        if (bound->fds[i] >= 0)
            close(bound->fds[i]);
    gw_tls_unlink(&bound->tls);
    free(bound);
}
