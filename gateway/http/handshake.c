/* What becomes of TLS handshakes: libmicrohttpd does not say. One that fails is counted and logged, and who
 * speaks plain HTTP is told so in it. */
#include "gateway/http/internal.h"

#include "base/time.h"

#include <ctype.h>
#include <sys/socket.h>

#define TELL_AGAIN_MS 10000
#define DRAIN_MAX     16 /* pieces of what came with plain HTTP: left unread it would take the answer along */

static const char plain_answer[] =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: 77\r\n\r\n"
    "This port speaks HTTPS only: write https:// in the URL in the place of http:\n";

static void answer_plainly(int fd)
{
    char dropped[4096];
    ssize_t sent = send(fd, plain_answer, sizeof plain_answer - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent; /* there is nobody else to tell */
    for (int i = 0; i < DRAIN_MAX && recv(fd, dropped, sizeof dropped, MSG_DONTWAIT) > 0; i++)
        ;
}

/* GnuTLS reads through it. A record's first byte is no letter, and a request's is one. */
static ssize_t pull(gnutls_transport_ptr_t opaque, void *data, size_t size)
{
    struct gw_connection *connection = opaque;
    ssize_t got = recv(connection->watch.fd, data, size, 0);
    if (got <= 0 || connection->spoke)
        return got;
    connection->spoke = true;
    connection->plain = isupper(*(const unsigned char *)data);
    if (connection->plain)
        answer_plainly(connection->watch.fd);
    return got;
}

static int took_part(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                     const gnutls_datum_t *message)
{
    gnutls_transport_ptr_t reader, writer;
    (void)when, (void)message;
    gnutls_transport_get_ptr2(session, &reader, &writer);
    if (incoming && type == GNUTLS_HANDSHAKE_FINISHED)
        ((struct gw_connection *)reader)->shaken = true;
    return 0;
}

void gw_handshake_begin(struct gw_connection *connection, gnutls_session_t session)
{
    gnutls_transport_ptr_t reader, writer;
    gnutls_transport_get_ptr2(session, &reader, &writer);
    gnutls_transport_set_ptr2(session, connection, writer);
    gnutls_transport_set_pull_function(session, pull);
    gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_POST, took_part);
}

void gw_handshake_end(const struct gw_connection *connection)
{
    struct gw_server *server = connection->loop->server;
    if (!connection->tls || !connection->spoke || connection->shaken)
        return;
    atomic_fetch_add_explicit(&server->handshakes_failed[connection->plain], 1, memory_order_relaxed);
    long long now_ms = connection->loop->now_ms, told_ms = atomic_load(&server->handshakes_told_ms);
    if ((told_ms && now_ms - told_ms < TELL_AGAIN_MS) ||
        !atomic_compare_exchange_strong(&server->handshakes_told_ms, &told_ms, now_ms))
        return; /* /metrics has them all */
    char from[GW_ADDRESS_TEXT];
    gw_address_text(connection->remote, from);
    if (connection->plain)
        SL_INFO(&server->log,
                "tls: %s sent plain HTTP, and was answered 400: its URL must begin with https://", from);
    else
        SL_INFO(&server->log,
                "tls: the handshake with %s failed: its client does not trust the certificate, has no "
                "version of TLS or "
                "cipher that is spoken here, or showed no certificate that is asked for or one that does not "
                "hold (streamlayer.gateway.listen.tls)",
                from);
}
