/*
 * Heads of requests that two readers could understand differently: where this request ends and the next one
 * begins. Behind a proxy that is how one client's request gets into another's answer (RFC 9112, 6.3
 * and 11.2). libmicrohttpd takes them all, so they are refused here, and the connection ends.
 */
#include "gateway/http/internal.h"

#include "base/text.h"

#include <string.h>
#include <strings.h>

struct heads {
    unsigned lengths, codings, hosts;
    const char *coding, *expect;
    bool strange; /* a name that is none */
    bool returns; /* a carriage return that ends no line */
    bool folded;  /* a value goes on in the next line */
};

/* libmicrohttpd 0.9 puts the next line where the value was, behind the name, and so makes another name of it
 * ("Transfer-Encodin: chunked", " g"). Else it leaves name and value as they came, with the colon and blanks
 * between them. Later ones (1.0) join the lines as they should. */
static bool is_folded(const char *name, size_t name_size, const char *value)
{
#if MHD_VERSION < 0x01000000
    const char *at = name + name_size + 1;
    while (at < value && (*at == ' ' || *at == '\t'))
        at++;
    return at != value;
#else
    (void)name, (void)name_size, (void)value;
    return false;
#endif
}

static enum MHD_Result look(void *opaque, enum MHD_ValueKind kind, const char *name, size_t name_size,
                            const char *value, size_t value_size)
{
    struct heads *heads = opaque;
    (void)kind;
    heads->strange |= !sl_is_http_token(name, SIZE_MAX);
    heads->folded |= is_folded(name, name_size, value);
    heads->returns |= value && memchr(value, '\r', value_size);
    switch (*name | 0x20) {
    case 'c':
        heads->lengths += !strcasecmp(name, "Content-Length");
        break;
    case 't':
        if (!strcasecmp(name, "Transfer-Encoding")) {
            heads->codings++;
            heads->coding = value;
        }
        break;
    case 'e':
        if (!strcasecmp(name, "Expect"))
            heads->expect = value;
        break;
    case 'h':
        heads->hosts += !strcasecmp(name, "Host");
        break;
    default:
        break;
    }
    return MHD_YES;
}

static const char *fault_of(const struct heads *heads, const char *version)
{
    if (heads->strange)
        return "a header's name is no HTTP token (a blank before the colon?)";
    if (heads->folded)
        return "a header goes on in a second line";
    if (heads->returns)
        return "a carriage return stands in a header's value";
    if (heads->lengths > 1)
        return "there is more than one Content-Length";
    if (heads->hosts > 1)
        return "there is more than one Host";
    if (heads->codings > 1)
        return "there is more than one Transfer-Encoding";
    if (heads->codings && heads->lengths)
        return "there are both Content-Length and Transfer-Encoding";
    if (heads->codings && !strcmp(version, "HTTP/1.0"))
        return "HTTP/1.0 has no Transfer-Encoding";
    if (!heads->hosts && strcmp(version, "HTTP/1.0") != 0)
        return "there is no Host";
    return NULL;
}

bool gw_framing_is_clear(struct gw_request *request, const char *version)
{
    struct heads heads = {0};
    MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, look, &heads);
    request->expect = heads.expect;
    const char *fault = fault_of(&heads, version);
    bool unknown = !fault && heads.codings && (!heads.coding || strcasecmp(heads.coding, "chunked") != 0);
    if (!fault && !unknown)
        return true;
    gw_respond_header(request, "Connection", "close");
    if (unknown)
        gw_respond_error(request, 501, "unsupported-transfer-encoding",
                         "a Transfer-Encoding other than chunked is not supported",
                         "send the body with a Content-Length, or chunked");
    else
        gw_respond_error(request, 400, "bad-framing", fault,
                         "send each of these headers once, and one of Content-Length and Transfer-Encoding");
    return false;
}
