/*
 * What proxies say of the clients whose requests they hand on: Forwarded (RFC 7239) and X-Forwarded-*.
 * Anybody can send such headers, so only those of trusted proxies count: each proxy appends what it saw, and
 * from the right one goes on to the left as long as who is named is trusted, too. Functions of bytes, any
 * thread.
 */
#ifndef GW_HTTP_FORWARDED_H
#define GW_HTTP_FORWARDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <streamlayer/error.h>

#define GW_ADDRESS_SIZE 16  /* an IPv6 address; IPv4 as ::ffff:a.b.c.d */
#define GW_ADDRESS_TEXT 46  /* as people read it, NUL included */
#define GW_HOST_MAX     255 /* bytes of host and port */
#define GW_PREFIX_MAX   200

struct gw_network {
    unsigned char address[GW_ADDRESS_SIZE];
    unsigned bits; /* of the 128 */
};

/* Zeroed: none. Read by all loops, once made. */
struct gw_networks {
    struct gw_network *list;
    size_t count;
};

/* "10.0.0.0/8, 192.0.2.7, fd00::/8"; NULL or "": none. bad (may be NULL) gets the entry that is none, or has
 * bits behind its prefix, cut to fit; networks is empty then. Errors: SL_BAD_CONFIG (no text: the caller
 * knows the setting), SL_OUT_OF_MEMORY. */
sl_status gw_networks_parse(const char *text, struct gw_networks *networks, char bad[100]);
/* false: no memory; to is empty then. */
bool gw_networks_copy(const struct gw_networks *from, struct gw_networks *to);
void gw_networks_free(struct gw_networks *networks);
bool gw_networks_hold(const struct gw_networks *networks, const unsigned char address[GW_ADDRESS_SIZE]);

struct sockaddr;
/* false: it is neither IPv4 nor IPv6. */
bool gw_address_of(const struct sockaddr *socket, unsigned char address[GW_ADDRESS_SIZE]);
bool gw_address_is_loopback(const unsigned char address[GW_ADDRESS_SIZE]);
/* What one host can choose from, as one: an IPv4 address by itself, of an IPv6 address its first 64 bits. */
uint64_t gw_address_network(const unsigned char address[GW_ADDRESS_SIZE]);
void gw_address_text(const unsigned char address[GW_ADDRESS_SIZE], char out[GW_ADDRESS_TEXT]);

/* HOST or HOST:PORT that may stand in a URL: no user, no path. */
bool gw_host_is_legal(const char *host);

/* A request's headers, those of one name joined with commas in their order; NULL: none. */
struct gw_forwarded_headers {
    const char *forwarded, *clients /* X-Forwarded-For */, *proto, *host, *port, *prefix;
};

enum gw_scheme { GW_SCHEME_UNSAID, GW_SCHEME_HTTP, GW_SCHEME_HTTPS };

struct gw_forwarded {
    unsigned char client[GW_ADDRESS_SIZE]; /* as far as trusted proxies tell */
    enum gw_scheme scheme;                 /* that the client speaks */
    char host[GW_HOST_MAX + 1];            /* that it asked, perhaps with a port; "": unsaid */
    uint16_t port;                         /* X-Forwarded-Port; 0: unsaid */
    char prefix[GW_PREFIX_MAX + 1];        /* of the path, that a proxy took away: "/streams"; "": none */
};

/*
 * What the headers say that a trusted peer sent. false: they cannot be believed, and *why (static) says why:
 * they are malformed, or the two kinds contradict each other. A proxy that keeps only one of the two kinds
 * hands the other on as its client sent it, so that would be the client's own word.
 */
bool gw_forwarded_read(const struct gw_networks *trusted, const unsigned char peer[GW_ADDRESS_SIZE],
                       const struct gw_forwarded_headers *headers, struct gw_forwarded *out,
                       const char **why);

#endif
