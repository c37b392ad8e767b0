/* Who is at the other end of a connection, and who behind it, where that is a proxy that is trusted. */
#include "gateway/http/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define JOINED_MAX ((size_t)1 << 20) /* bytes; heads are bounded before */

static gnutls_session_t session_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return info ? info->tls_session : NULL;
}

bool gw_peer_begin(struct gw_connection *connection, struct gw_loop *loop, struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    connection->trusted = gw_address_of(info ? info->client_addr : NULL, connection->remote) &&
                          gw_networks_hold(&loop->server->trusted_proxies, connection->remote);
    if (!loop->tls)
        return true;
    connection->tls = gw_tls_link(loop->tls);
    if (!gw_tls_begin(loop->tls, session_of(mhd)))
        return false;
    gw_handshake_begin(connection, session_of(mhd));
    return true;
}

void gw_peer_end(struct gw_connection *connection)
{
    gw_handshake_end(connection);
    gw_tls_unlink(&connection->tls);
    free(connection->subject);
}

bool gw_request_is_encrypted(const struct gw_request *request)
{
    return request->peer->tls != NULL;
}

const char *gw_request_client_subject(const struct gw_request *request)
{
    struct gw_connection *peer = request->peer;
    char subject[GW_TLS_SUBJECT_MAX];
    if (!peer->tls || peer->subject_sought)
        return peer->subject;
    peer->subject_sought = true;
    if (gw_tls_subject(session_of(request->connection), subject))
        peer->subject = strdup(subject);
    return peer->subject;
}

enum name { FORWARDED, CLIENTS, PROTO, HOST, PORT, PREFIX, NAMES };

/* The headers that proxies send. */
struct gathering {
    const char *values[NAMES];
    struct sl_buffer joined[NAMES]; /* of those that come more than once */
    bool failed;                    /* no memory */
};

static void add_value(struct gathering *all, enum name name, const char *value)
{
    struct sl_buffer *joined = &all->joined[name];
    if (!all->values[name]) {
        all->values[name] = value;
        return;
    }
    if (!joined->max) {
        sl_buffer_init(joined, JOINED_MAX);
        sl_buffer_append_text(joined, all->values[name]);
    }
    all->failed |= !sl_buffer_printf(joined, ", %s", value);
    all->values[name] = joined->data;
}

static enum MHD_Result look(void *opaque, enum MHD_ValueKind kind, const char *name, const char *value)
{
    static const char *const names[NAMES] = {"Forwarded",        "X-Forwarded-For",  "X-Forwarded-Proto",
                                             "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix"};
    struct gathering *all = opaque;
    (void)kind;
    if ((*name | 0x20) != 'f' && (*name | 0x20) != 'x')
        return MHD_YES;
    for (int i = 0; i < NAMES; i++)
        if (!strcasecmp(name, names[i]))
            add_value(all, (enum name)i, value ? value : "");
    return MHD_YES;
}

/* false: *why says why what its proxy sent is not believed. */
static bool read_forwarded(const struct gw_request *request, struct gw_forwarded *forwarded, const char **why)
{
    struct gathering all = {0};
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, look, &all);
    const struct gw_forwarded_headers headers = {
        .forwarded = all.values[FORWARDED],
        .clients = all.values[CLIENTS],
        .proto = all.values[PROTO],
        .host = all.values[HOST],
        .port = all.values[PORT],
        .prefix = all.values[PREFIX],
    };
    bool good = false;
    if (all.failed)
        *why = "the gateway has no memory to look at them";
    else
        good = gw_forwarded_read(&request->loop->server->trusted_proxies, request->peer->remote, &headers,
                                 forwarded, why);
    for (int i = 0; i < NAMES; i++)
        sl_buffer_free(&all.joined[i]);
    return good;
}

bool gw_peer_is_clear(struct gw_request *request)
{
    struct gw_forwarded forwarded;
    const char *why = NULL;
    if (!request->peer->trusted)
        return true;
    bool good = read_forwarded(request, &forwarded, &why);
    if (good)
        memcpy(request->client, forwarded.client, GW_ADDRESS_SIZE);
    else
        gw_respond_errorf(
            request, 400, "bad-forwarded",
            "have the proxy before the gateway set one of Forwarded and X-Forwarded-*, and take "
            "away what its clients send of both",
            "what the proxy says of its client cannot be believed: %s", why);
    return good;
}

void gw_request_client_address(const struct gw_request *request, char out[GW_ADDRESS_TEXT])
{
    gw_address_text(request->client, out);
}

uint64_t gw_request_network(const struct gw_request *request)
{
    return gw_address_network(request->client);
}

bool gw_request_is_local(const struct gw_request *request)
{
    return gw_address_is_loopback(request->client);
}

bool gw_request_base_url(const struct gw_request *request, struct sl_buffer *url)
{
    struct gw_forwarded forwarded = {0};
    const char *why;
    if (request->peer->trusted && !read_forwarded(request, &forwarded, &why))
        return false;
    const char *host = *forwarded.host ? forwarded.host : gw_request_header(request, "Host");
    if (!host || !gw_host_is_legal(host))
        return false;
    bool secure = forwarded.scheme ? forwarded.scheme == GW_SCHEME_HTTPS : gw_request_is_encrypted(request);
    /* A host without its port: the proxy may say it apart. */
    const char *name_end = *host == '[' ? strchr(host, ']') : host;
    char port[8] = "";
    if (forwarded.port && forwarded.port != (secure ? 443 : 80) && !strchr(name_end, ':'))
        snprintf(port, sizeof port, ":%u", (unsigned)forwarded.port);
    return sl_buffer_printf(url, "%s://%s%s%s", secure ? "https" : "http", host, port, forwarded.prefix);
}
