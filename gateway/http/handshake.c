/* What becomes of TLS handshakes: libmicrohttpd does not say, neither here nor to the client, to which it
 * sends no alert. One that fails is counted and logged by its reason, and who speaks plain HTTP is told so in
 * it. */
#include "gateway/http/internal.h"

#include "base/time.h"

#include <ctype.h>
#include <sys/socket.h>

#define TELL_AGAIN_MS 10000
#define DRAIN_MAX     16 /* pieces of what came: left unread it would take the answer, or the alert, along */

static const char plain_answer[] =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: 98\r\n\r\n"
    "This port speaks HTTPS, and was spoken to in plain HTTP: write https:// where the URL has http://\n";

static void drain(int fd)
{
    char dropped[4096];
    for (int i = 0; i < DRAIN_MAX && recv(fd, dropped, sizeof dropped, MSG_DONTWAIT) > 0; i++)
        ;
}

static void answer_plainly(int fd)
{
    ssize_t sent = send(fd, plain_answer, sizeof plain_answer - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent; /* there is nobody else to tell */
    drain(fd);
}

/* GnuTLS reads through it. A record's first byte is no letter, and a request's is one. */
static ssize_t pull(gnutls_transport_ptr_t opaque, void *data, size_t size)
{
    struct gw_connection *connection = opaque;
    ssize_t got = recv(connection->watch.fd, data, size, 0);
    if (got <= 0 || connection->handshake.spoke)
        return got;
    connection->handshake.spoke = true;
    connection->handshake.plain = isupper(*(const unsigned char *)data);
    if (connection->handshake.plain)
        answer_plainly(connection->watch.fd);
    return got;
}

/* An empty list: of TLS 1.2 its three bytes of length, of 1.3 those behind an empty context. */
static bool is_empty_list(const gnutls_datum_t *message)
{
    return message->size <= 4;
}

/* Where one is required GnuTLS refuses it after this. */
static void took_certificate(gnutls_session_t session, struct gw_connection *connection,
                             const gnutls_datum_t *message)
{
    struct gw_handshake *handshake = &connection->handshake;
    handshake->showed_none = is_empty_list(message);
    handshake->showed_certificate = !handshake->showed_none;
    if (handshake->showed_none && gw_tls_requires_certificate(connection->tls))
        gw_tls_alert(session, gnutls_protocol_get_version(session) == GNUTLS_TLS1_3
                                  ? GNUTLS_A_CERTIFICATE_REQUIRED
                                  : GNUTLS_A_HANDSHAKE_FAILURE);
}

/* GnuTLS refuses it after this. Its first two bytes are a version, and clients of TLS 1.3 write 1.2 there. */
static void took_greeting(gnutls_session_t session, const gnutls_datum_t *message)
{
    if (message->size >= 2 && message->data[0] == 3 && message->data[1] < 3)
        gw_tls_alert(session, GNUTLS_A_PROTOCOL_VERSION);
}

static int took_part(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                     const gnutls_datum_t *message)
{
    gnutls_transport_ptr_t reader, writer;
    gnutls_transport_get_ptr2(session, &reader, &writer);
    struct gw_connection *connection = reader;
    if (when == GNUTLS_HOOK_PRE) { /* which is all that there is of what is refused */
        if (incoming && type == GNUTLS_HANDSHAKE_CLIENT_HELLO)
            took_greeting(session, message);
    } else if (incoming && type == GNUTLS_HANDSHAKE_FINISHED)
        connection->handshake.done = true;
    else if (incoming && type == GNUTLS_HANDSHAKE_CERTIFICATE_PKT)
        took_certificate(session, connection, message);
    else if (!incoming && type == GNUTLS_HANDSHAKE_SERVER_HELLO)
        connection->handshake.greeted = true;
    return 0;
}

void gw_handshake_begin(struct gw_connection *connection, gnutls_session_t session)
{
    gnutls_transport_ptr_t reader, writer;
    gnutls_transport_get_ptr2(session, &reader, &writer);
    gnutls_transport_set_ptr2(session, connection, writer);
    gnutls_transport_set_pull_function(session, pull);
    gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_BOTH, took_part);
}

static enum gw_handshake_fault fault_of(const struct gw_connection *connection)
{
    const struct gw_handshake *handshake = &connection->handshake;
    if (handshake->plain)
        return GW_HANDSHAKE_PLAIN_HTTP;
    if (!handshake->greeted)
        return GW_HANDSHAKE_NOTHING_IN_COMMON;
    if (handshake->showed_certificate)
        return GW_HANDSHAKE_BAD_CERTIFICATE;
    if (handshake->showed_none && gw_tls_requires_certificate(connection->tls))
        return GW_HANDSHAKE_NO_CERTIFICATE;
    return GW_HANDSHAKE_CLIENT_LEFT;
}

static void tell(const struct gw_connection *connection, enum gw_handshake_fault fault)
{
    static const char *const texts[GW_HANDSHAKE_FAULTS] = {
        [GW_HANDSHAKE_PLAIN_HTTP] =
            "it sent plain HTTP, and was answered 400: its URL must begin with https://",
        [GW_HANDSHAKE_NOTHING_IN_COMMON] =
            "it has no version of TLS or no cipher that is spoken here, or does not speak TLS "
            "(streamlayer.gateway.listen.tls.min-version)",
        [GW_HANDSHAKE_NO_CERTIFICATE] = "it showed no certificate, and one is required "
                                        "(streamlayer.gateway.listen.tls.client-certificates)",
        [GW_HANDSHAKE_BAD_CERTIFICATE] =
            "its certificate does not hold: it has expired, is not for clients, or is of no CA in "
            "streamlayer.gateway.listen.tls.client-ca",
        [GW_HANDSHAKE_CLIENT_LEFT] = "it left; most do so who do not trust the gateway's certificate "
                                     "(streamlayer.gateway.listen.tls.certificate)",
    };
    char from[GW_ADDRESS_TEXT];
    gw_address_text(connection->remote, from);
    SL_INFO(&connection->loop->server->log, "tls: the handshake with %s failed: %s", from, texts[fault]);
}

void gw_handshake_end(const struct gw_connection *connection)
{
    struct gw_server *server = connection->loop->server;
    if (!connection->tls || !connection->handshake.spoke || connection->handshake.done)
        return;
    drain(connection->watch.fd);
    enum gw_handshake_fault fault = fault_of(connection);
    atomic_fetch_add_explicit(&server->handshakes_failed[fault], 1, memory_order_relaxed);
    long long now_ms = connection->loop->now_ms, told_ms = atomic_load(&server->handshakes_told_ms[fault]);
    if ((!told_ms || now_ms - told_ms >= TELL_AGAIN_MS) &&
        atomic_compare_exchange_strong(&server->handshakes_told_ms[fault], &told_ms, now_ms))
        tell(connection, fault); /* /metrics has them all */
}
