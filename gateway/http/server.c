/* Starting, draining and stopping the loops. */
#include "gateway/http/internal.h"

#include "base/error.h"
#include "base/time.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STREAMS_GRACE_MS 5000 /* for readers of streams that do not keep up */

static sl_status start_threads(struct gw_server *server, sl_error *error)
{
    /* Signals are the program's business, on its own threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_mutex_lock(&server->lock);
    int code = 0;
    for (unsigned i = 0; i < server->loop_count && !code; i++) {
        struct gw_loop *loop = &server->loops[i];
        code = pthread_create(&loop->thread, NULL, gw_loop_main, loop);
        loop->started = !code;
    }
    pthread_mutex_unlock(&server->lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code ? sl_error_set(error, SL_IO, "cannot start a thread: %s", sl_errno_text(code)) : SL_OK;
}

/* What is not set gets a value that serves. */
static void complete(struct gw_server_settings *settings)
{
    if (!settings->max_connections)
        settings->max_connections = 10000;
    if (!settings->max_requests)
        settings->max_requests = 10000;
    if (!settings->max_body)
        settings->max_body = (size_t)1 << 20;
    if (!settings->max_header)
        settings->max_header = (size_t)32 * 1024;
    if (!settings->header_timeout_ms)
        settings->header_timeout_ms = 10000;
    if (!settings->idle_timeout_ms)
        settings->idle_timeout_ms = 60000;
}

sl_status gw_server_start(const struct gw_server_settings *settings, const struct sl_log *log,
                          struct gw_server **out, sl_error *error)
{
    *out = NULL;
    struct gw_bound *bound = settings->bound;
    struct gw_server *server = calloc(1, sizeof *server);
    if (!server) {
        gw_bound_free(&bound);
        return sl_error_oom(error);
    }
    server->settings = *settings;
    complete(&server->settings);
    atomic_init(&server->open, !settings->closed);
    if (log)
        server->log = *log;
    pthread_mutex_init(&server->lock, NULL);
    sl_cond_init(&server->idle);
    server->settings.bound = NULL;
    sl_status status = bound ? SL_OK : gw_server_bind(settings, log, &bound, error);
    atomic_init(&server->tls_not_after, 0);
    server->settings.tls = NULL; /* the caller's memory */
    server->loop_count = bound ? bound->count : 0;
    server->loops = calloc(server->loop_count ? server->loop_count : 1, sizeof *server->loops);
    if (!status && !server->loops)
        status = sl_error_oom(error);
    for (unsigned i = 0; i < server->loop_count && server->loops; i++)
        server->loops[i].listen_fd = server->loops[i].epoll_fd = server->loops[i].wake_fd = -1;
    if (!status)
        status = gw_router_create(settings->routes, settings->route_count, &server->router, error);
    if (!status && ((settings->cors && !gw_cors_copy(settings->cors, &server->cors)) ||
                    (settings->trusted_proxies &&
                     !gw_networks_copy(settings->trusted_proxies, &server->trusted_proxies))))
        status = sl_error_oom(error);
    server->settings.cors = NULL; /* the caller's memory */
    server->settings.trusted_proxies = NULL;
    if (!status)
        status = gw_addresses_create(&server->addresses, error);
    if (!status)
        status = gw_bound_listen(bound, server, error);
    gw_bound_free(&bound);
    if (server->tls)
        atomic_store(&server->tls_not_after, gw_tls_not_after(server->tls));
    for (unsigned i = 0; i < server->loop_count && !status; i++)
        status = gw_loop_init(server, &server->loops[i], error);
    if (!status)
        status = start_threads(server, error);
    if (status)
        gw_server_stop(&server);
    *out = server;
    return status;
}

void gw_server_set_limits(struct gw_server *server, const struct gw_server_settings *settings)
{
    struct gw_server_settings limits = *settings;
    complete(&limits);
    server->settings.max_connections = limits.max_connections;
    server->settings.max_requests = limits.max_requests;
    server->settings.max_connections_per_address = limits.max_connections_per_address;
    server->settings.max_body = limits.max_body;
    server->settings.header_timeout_ms = limits.header_timeout_ms;
    server->settings.body_rate = limits.body_rate;
    server->settings.idle_timeout_ms = limits.idle_timeout_ms;
    server->settings.stream_timeout_ms = limits.stream_timeout_ms;
}

void gw_server_open(struct gw_server *server)
{
    atomic_store(&server->open, true);
}

bool gw_server_speaks_tls(const struct gw_server *server)
{
    return server->tls != NULL;
}

uint16_t gw_server_port(const struct gw_server *server)
{
    return server->port;
}

unsigned gw_server_loops(const struct gw_server *server)
{
    return server->loop_count;
}

struct gw_loop *gw_server_loop(struct gw_server *server, unsigned index)
{
    return &server->loops[index];
}

/* Something that every loop is to do; who orders it waits until all have. */
struct order {
    struct gw_task task;
    struct gw_loop *loop;
    void (*carry_out)(struct gw_loop *loop);
    unsigned *left; /* under the server's lock */
};

static void run_order(struct gw_task *task)
{
    struct order *order = (struct order *)task;
    struct gw_server *server = order->loop->server;
    order->carry_out(order->loop);
    pthread_mutex_lock(&server->lock);
    --*order->left;
    pthread_cond_broadcast(&server->idle);
    pthread_mutex_unlock(&server->lock);
}

static bool order_all(struct gw_server *server, void (*carry_out)(struct gw_loop *loop))
{
    unsigned left = server->loop_count;
    struct order *orders = calloc(server->loop_count, sizeof *orders);
    if (!orders)
        return false;
    for (unsigned i = 0; i < server->loop_count; i++) {
        orders[i] = (struct order){{NULL, run_order}, &server->loops[i], carry_out, &left};
        gw_loop_post(&server->loops[i], &orders[i].task);
    }
    pthread_mutex_lock(&server->lock);
    while (left) /* loops always come round: no deadline */
        pthread_cond_wait(&server->idle, &server->lock);
    pthread_mutex_unlock(&server->lock);
    free(orders);
    return true;
}

static void take_tls(struct gw_loop *loop)
{
    gw_tls_unlink(&loop->tls);
    loop->tls = gw_tls_link(loop->server->tls);
}

sl_status gw_server_reload_tls(struct gw_server *server, const struct gw_tls_settings *settings,
                               sl_error *error)
{
    struct gw_tls *fresh;
    if (!server->tls)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "the server was started without TLS");
    sl_status status = gw_tls_load(settings, &server->log, &fresh, error);
    if (status)
        return status;
    struct gw_tls *before = server->tls;
    server->tls = fresh;
    if (!order_all(server, take_tls)) {
        server->tls = before;
        before = fresh;
        status = sl_error_oom(error);
    }
    atomic_store(&server->tls_not_after, gw_tls_not_after(server->tls));
    gw_tls_unlink(&before);
    return status;
}

static void stop_listening(struct gw_loop *loop)
{
    MHD_socket fd = MHD_quiesce_daemon(loop->daemon);
    if (fd != MHD_INVALID_SOCKET)
        close(fd);
}

static void stop_handling(struct gw_loop *loop)
{
    loop->handles_no_more = true;
}

static void wait_for_idle(struct gw_server *server, int64_t deadline)
{
    struct timespec until = sl_mono_deadline(deadline);
    pthread_mutex_lock(&server->lock);
    while (atomic_load(&server->in_flight) && deadline > sl_mono_ms())
        pthread_cond_timedwait(&server->idle, &server->lock, &until);
    pthread_mutex_unlock(&server->lock);
}

void gw_server_drain(struct gw_server *server, int grace_ms)
{
    int64_t deadline = sl_deadline_ms(grace_ms);
    int64_t streams = sl_deadline_ms(STREAMS_GRACE_MS);
    atomic_store(&server->draining, true);
    /* Without memory for an order the server stops less gently. */
    order_all(server, stop_listening);
    wait_for_idle(server, streams < deadline ? streams : deadline);
    order_all(server, gw_streams_cut);
    wait_for_idle(server, deadline);
    order_all(server, stop_handling);
}

void gw_server_stop(struct gw_server **out)
{
    struct gw_server *server = *out;
    if (!server)
        return;
    *out = NULL;
    for (unsigned i = 0; i < server->loop_count && server->loops; i++)
        if (server->loops[i].started) {
            atomic_store(&server->loops[i].stopping, true);
            gw_loop_wake(&server->loops[i]);
        }
    for (unsigned i = 0; i < server->loop_count && server->loops; i++)
        if (server->loops[i].started)
            pthread_join(server->loops[i].thread, NULL);
    for (unsigned i = 0; i < server->loop_count && server->loops; i++)
        gw_loop_free(&server->loops[i]);
    free(server->loops);
    gw_router_destroy(&server->router);
    gw_tls_unlink(&server->tls);
    gw_cors_free(&server->cors);
    gw_networks_free(&server->trusted_proxies);
    gw_addresses_destroy(&server->addresses);
    pthread_cond_destroy(&server->idle);
    pthread_mutex_destroy(&server->lock);
    free(server);
}
