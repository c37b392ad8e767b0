/* Who is at the other end of a connection. */
#include "gateway/http/internal.h"

#include <stdlib.h>
#include <string.h>

static gnutls_session_t session_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return info ? info->tls_session : NULL;
}

bool gw_peer_begin(struct gw_connection *connection, struct gw_loop *loop, struct MHD_Connection *mhd)
{
    if (!loop->tls)
        return true;
    connection->tls = gw_tls_link(loop->tls);
    return gw_tls_begin(loop->tls, session_of(mhd));
}

void gw_peer_end(struct gw_connection *connection)
{
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
