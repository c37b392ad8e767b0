#include "gateway/http/internal.h"

#include <linux/tcp.h> /* the C library's struct tcp_info has no tcpi_bytes_acked */
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

/* So many more than there may be are told so; what comes beyond them is closed at once. */
#define SURPLUS_ALL     256
#define SURPLUS_ADDRESS 16

#define END_MS  50 /* after the client's end libmicrohttpd has read all that came before it */
#define UNKNOWN UINT64_MAX
/* The kernel's; its header for programs does not name the states. */
#define TCP_STATE_CLOSED     7
#define TCP_STATE_CLOSE_WAIT 8

int gw_socket_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

static bool tcp_info_of(const struct gw_connection *connection, struct tcp_info *info)
{
    socklen_t size = sizeof *info;
    return !getsockopt(connection->watch.fd, IPPROTO_TCP, TCP_INFO, info, &size);
}

bool gw_connection_has_left(const struct gw_connection *connection)
{
    struct tcp_info info;
    return connection->hung_up || !tcp_info_of(connection, &info) || info.tcpi_state == TCP_STATE_CLOSED ||
           info.tcpi_state == TCP_STATE_CLOSE_WAIT;
}

bool gw_connection_is_deserted(const struct gw_connection *connection, bool ask)
{
    char byte;
    if (connection->hung_up || !ask)
        return connection->hung_up;
    /* Under TLS the client's farewell lies unread before the end, so that only TCP itself knows. */
    if (connection->tls)
        return gw_connection_has_left(connection);
    return recv(connection->watch.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

uint64_t gw_connection_acknowledged(const struct gw_connection *connection)
{
    struct tcp_info info;
    return tcp_info_of(connection, &info) ? info.tcpi_bytes_acked : 0;
}

bool gw_connection_was_reset(const struct gw_connection *connection)
{
    struct tcp_info info;
    return !tcp_info_of(connection, &info) || info.tcpi_state == TCP_STATE_CLOSED;
}

void gw_connection_bound_writes(const struct gw_connection *connection, int timeout_ms)
{
    (void)setsockopt(connection->watch.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
}

/* How long a wait of this kind may be; a body's and an answer's: how long until its rate is looked at. */
static int patience_ms(const struct gw_connection *connection)
{
    const struct gw_server_settings *settings = &connection->loop->server->settings;
    return connection->wait == GW_WAIT_HEAD || connection->wait == GW_WAIT_BODY ? settings->header_timeout_ms
                                                                                : settings->idle_timeout_ms;
}

static void cut(struct gw_connection *connection)
{
    atomic_fetch_add_explicit(&connection->loop->server->cuts[connection->wait], 1, memory_order_relaxed);
    connection->wait = GW_WAIT_OURS;
    shutdown(connection->watch.fd, SHUT_RDWR);
}

static void look_by(struct gw_connection *connection, int64_t due_ms)
{
    if ((!connection->timer.slot || due_ms < connection->timer.due_ms) &&
        gw_timer_set(connection->loop, &connection->timer, due_ms))
        cut(connection); /* without memory for its timer it could stay for ever */
}

/* libmicrohttpd reads what is there and does not see the end behind it: this shows it to it, and takes
 * nothing away of what is there. */
static void show_end(struct gw_connection *connection)
{
    if (connection->hung_up && !connection->end_shown && connection->wait != GW_WAIT_ANSWER)
        connection->end_shown = !shutdown(connection->watch.fd, SHUT_RD);
}

void gw_connection_wait(struct gw_connection *connection, enum gw_wait wait)
{
    connection->wait = wait;
    connection->moved = wait == GW_WAIT_ANSWER ? UNKNOWN : 0;
    if (wait == GW_WAIT_OURS)
        return; /* the timer finds it so, and stays away */
    connection->deadline_ms = connection->loop->now_ms + patience_ms(connection);
    look_by(connection, connection->hung_up ? connection->loop->now_ms + END_MS : connection->deadline_ms);
}

/* Whether so much went over the connection since this was asked last that it may go on. */
static bool keeps_up(struct gw_connection *connection)
{
    uint64_t rate = connection->loop->server->settings.body_rate;
    uint64_t due = rate * (uint64_t)patience_ms(connection) / 1000;
    uint64_t moved = connection->moved;
    connection->moved = 0;
    if (connection->wait == GW_WAIT_BODY)
        return moved >= due;
    struct tcp_info info;
    if (!tcp_info_of(connection, &info))
        return false;
    connection->moved = info.tcpi_bytes_acked;
    return moved == UNKNOWN || info.tcpi_bytes_acked - moved >= due;
}

static void on_time(struct gw_timer *timer)
{
    struct gw_connection *connection =
        (struct gw_connection *)(void *)((char *)timer - offsetof(struct gw_connection, timer));
    bool rated = connection->wait == GW_WAIT_BODY || connection->wait == GW_WAIT_ANSWER;
    if (connection->wait == GW_WAIT_OURS)
        return;
    show_end(connection);
    if (connection->loop->now_ms >= connection->deadline_ms) {
        if (!rated || !keeps_up(connection)) {
            cut(connection);
            return;
        }
        connection->deadline_ms = connection->loop->now_ms + patience_ms(connection);
    }
    if (gw_timer_set(connection->loop, timer, connection->deadline_ms))
        cut(connection);
}

/* libmicrohttpd does not look at a connection that is suspended, nor does it see an end that came with a
 * request: so the loop watches for it, which costs nothing for a request. */
static void hung_up(struct gw_watch *watch)
{
    struct gw_connection *connection =
        (struct gw_connection *)(void *)((char *)watch - offsetof(struct gw_connection, watch));
    connection->hung_up = true;
    /* A socket that is closed with bytes unread is reset instead. */
    struct tcp_info info;
    connection->in_order = tcp_info_of(connection, &info) && info.tcpi_state == TCP_STATE_CLOSE_WAIT;
    if (connection->wait != GW_WAIT_OURS)
        look_by(connection, connection->loop->now_ms + END_MS);
    if (connection->streaming)
        gw_stream_hung_up(connection->streaming);
    if (connection->paused) /* whoever has it wait looks whether somebody still wants it */
        gw_request_continue(connection->paused);
}

static struct gw_connection *connection_new(struct gw_loop *loop, struct MHD_Connection *mhd)
{
    struct gw_connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        return NULL;
    int fd = gw_socket_of(mhd);
    connection->loop = loop;
    connection->watch = (struct gw_watch){.fd = fd, .ready = hung_up};
    connection->timer.run = on_time;
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = &connection->watch};
    if (!epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
        if (gw_peer_begin(connection, loop, mhd))
            return connection;
        gw_watch_remove(loop, &connection->watch);
    }
    gw_peer_end(connection);
    free(connection);
    return NULL;
}

/* Counts the connection; false: it is not even worth a refusal. */
static bool take_in(struct gw_connection *connection, struct MHD_Connection *mhd, unsigned before)
{
    struct gw_server *server = connection->loop->server;
    const struct gw_server_settings *settings = &server->settings;
    unsigned of_address = 0;
    if (settings->max_connections_per_address && !connection->trusted) /* a proxy's are those of many */
        connection->address = gw_addresses_enter(
            server->addresses, MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr,
            &of_address);
    if (before >= settings->max_connections)
        connection->surplus = GW_SURPLUS_ALL;
    else if (connection->address && of_address > settings->max_connections_per_address)
        connection->surplus = GW_SURPLUS_ADDRESS;
    return before < settings->max_connections + SURPLUS_ALL &&
           (connection->surplus != GW_SURPLUS_ADDRESS ||
            of_address <= settings->max_connections_per_address + SURPLUS_ADDRESS);
}

static void connection_begins(struct gw_loop *loop, struct MHD_Connection *mhd, void **context)
{
    unsigned before = atomic_fetch_add(&loop->server->connections, 1);
    struct gw_connection *connection = *context = connection_new(loop, mhd);
    if (!connection) {
        shutdown(gw_socket_of(mhd), SHUT_RDWR); /* nobody would look after it */
        return;
    }
    gw_connection_wait(connection, GW_WAIT_HEAD);
    if (!take_in(connection, mhd, before)) {
        atomic_fetch_add_explicit(&loop->server->surplus, 1, memory_order_relaxed);
        shutdown(connection->watch.fd, SHUT_RDWR);
    }
}

void gw_mhd_connection(void *opaque, struct MHD_Connection *mhd, void **context,
                       enum MHD_ConnectionNotificationCode code)
{
    struct gw_loop *loop = opaque;
    struct gw_connection *connection = *context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        connection_begins(loop, mhd, context);
        return;
    }
    atomic_fetch_sub(&loop->server->connections, 1);
    if (connection) {
        gw_hold_proved(connection, connection->in_order);
        gw_watch_remove(loop, &connection->watch);
        gw_timer_cancel(loop, &connection->timer);
        gw_addresses_leave(loop->server->addresses, connection->address);
        gw_peer_end(connection);
    }
    free(connection);
}
