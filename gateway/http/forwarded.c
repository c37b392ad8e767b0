#include "gateway/http/forwarded.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SEPARATORS   ", \t"
#define BLANKS       " \t"
#define ELEMENTS_MAX 32 /* proxies in a row; of more, the nearest */

static const unsigned char v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct span {
    const char *at; /* NULL: nothing */
    size_t size;
};

static struct span trim(const char *at, size_t size)
{
    while (size && strchr(BLANKS, *at))
        at++, size--;
    while (size && strchr(BLANKS, at[size - 1]))
        size--;
    return (struct span){at, size};
}

/* false: longer than max, or there is a NUL. */
static bool copy(struct span span, char *out, size_t max)
{
    if (!span.at || span.size > max || memchr(span.at, 0, span.size))
        return false;
    memcpy(out, span.at, span.size);
    out[span.size] = 0;
    return true;
}

static bool read_plain(const char *text, unsigned char address[GW_ADDRESS_SIZE])
{
    if (inet_pton(AF_INET6, text, address) == 1)
        return true;
    memcpy(address, v4_mapped, sizeof v4_mapped);
    return inet_pton(AF_INET, text, address + sizeof v4_mapped) == 1;
}

static bool is_v4(const unsigned char address[GW_ADDRESS_SIZE])
{
    return !memcmp(address, v4_mapped, sizeof v4_mapped);
}

bool gw_address_of(const struct sockaddr *socket, unsigned char address[GW_ADDRESS_SIZE])
{
    if (socket && socket->sa_family == AF_INET6) {
        memcpy(address, &((const struct sockaddr_in6 *)(const void *)socket)->sin6_addr, GW_ADDRESS_SIZE);
    } else if (socket && socket->sa_family == AF_INET) {
        memcpy(address, v4_mapped, sizeof v4_mapped);
        memcpy(address + sizeof v4_mapped, &((const struct sockaddr_in *)(const void *)socket)->sin_addr, 4);
    } else {
        memset(address, 0, GW_ADDRESS_SIZE);
        return false;
    }
    return true;
}

bool gw_address_is_loopback(const unsigned char address[GW_ADDRESS_SIZE])
{
    static const unsigned char loopback[GW_ADDRESS_SIZE] = {[15] = 1};
    return is_v4(address) ? address[12] == 127 : !memcmp(address, loopback, sizeof loopback);
}

uint64_t gw_address_network(const unsigned char address[GW_ADDRESS_SIZE])
{
    uint64_t network = 0; /* IPv4's last half begins as no IPv6 network does that anybody has */
    for (size_t i = is_v4(address) ? 8 : 0, end = i + 8; i < end; i++)
        network = network << 8 | address[i];
    return network;
}

void gw_address_text(const unsigned char address[GW_ADDRESS_SIZE], char out[GW_ADDRESS_TEXT])
{
    bool v4 = is_v4(address);
    if (!inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? address + sizeof v4_mapped : address, out, GW_ADDRESS_TEXT))
        *out = 0;
}

static bool bits_are_zero_from(const struct gw_network *network)
{
    for (unsigned bit = network->bits; bit < 128; bit++)
        if (network->address[bit / 8] & (0x80U >> bit % 8))
            return false;
    return true;
}

static bool read_network(struct span entry, struct gw_network *network)
{
    char text[64];
    int64_t bits = 128;
    if (!copy(entry, text, sizeof text - 1))
        return false;
    char *slash = strchr(text, '/');
    if (slash)
        *slash = 0;
    if (!read_plain(text, network->address))
        return false;
    int64_t before = strchr(text, ':') ? 0 : 96; /* bits that an IPv4 address does not write */
    if (slash && (!sl_parse_int(slash + 1, 0, 128 - before, &bits) || (bits += before) > 128))
        return false;
    network->bits = (unsigned)bits;
    return bits_are_zero_from(network);
}

sl_status gw_networks_parse(const char *text, struct gw_networks *networks, char bad[100])
{
    *networks = (struct gw_networks){0};
    size_t most = 1;
    for (const char *c = text; c && *c; c++)
        most += strchr(SEPARATORS, *c) != NULL;
    for (const char *at = text; at && *(at += strspn(at, SEPARATORS));) {
        struct span entry = {at, strcspn(at, SEPARATORS)};
        if (!networks->list && !(networks->list = calloc(most, sizeof *networks->list)))
            return SL_OUT_OF_MEMORY;
        if (!read_network(entry, &networks->list[networks->count])) {
            if (bad)
                snprintf(bad, 100, "%.*s", (int)(entry.size < 99 ? entry.size : 99), entry.at);
            gw_networks_free(networks);
            return SL_BAD_CONFIG;
        }
        networks->count++;
        at += entry.size;
    }
    return SL_OK;
}

bool gw_networks_copy(const struct gw_networks *from, struct gw_networks *to)
{
    *to = (struct gw_networks){0};
    if (!from->count)
        return true;
    to->list = calloc(from->count, sizeof *to->list);
    if (!to->list)
        return false;
    memcpy(to->list, from->list, from->count * sizeof *to->list);
    to->count = from->count;
    return true;
}

void gw_networks_free(struct gw_networks *networks)
{
    free(networks->list);
    *networks = (struct gw_networks){0};
}

bool gw_networks_hold(const struct gw_networks *networks, const unsigned char address[GW_ADDRESS_SIZE])
{
    for (size_t i = 0; i < networks->count; i++) {
        const struct gw_network *network = &networks->list[i];
        unsigned whole = network->bits / 8, rest = network->bits % 8;
        if (!memcmp(network->address, address, whole) &&
            (!rest || !((network->address[whole] ^ address[whole]) >> (8 - rest))))
            return true;
    }
    return false;
}

/* Where the host ends and ":port" begins; NULL: it is no host. */
static const char *host_end(const char *host)
{
    static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    unsigned char address[GW_ADDRESS_SIZE];
    char text[GW_ADDRESS_TEXT];
    if (*host != '[') {
        size_t size = strspn(host, legal);
        return size ? host + size : NULL;
    }
    const char *end = strchr(host, ']');
    return end && copy((struct span){host + 1, (size_t)(end - host - 1)}, text, sizeof text - 1) &&
                   inet_pton(AF_INET6, text, address) == 1
               ? end + 1
               : NULL;
}

bool gw_host_is_legal(const char *host)
{
    int64_t port;
    const char *end = strlen(host) <= GW_HOST_MAX ? host_end(host) : NULL;
    return end && (!*end || (*end == ':' && sl_parse_int(end + 1, 1, 65535, &port)));
}

/* 192.0.2.7, 192.0.2.7:4711, 2001:db8::1, [2001:db8::1]:4711; not "unknown", not "_hidden". */
static bool read_node(struct span node, unsigned char address[GW_ADDRESS_SIZE])
{
    char text[80];
    if (!copy(node, text, sizeof text - 1))
        return false;
    char *colon = strrchr(text, ':'), *bracket = strchr(text, ']');
    int64_t port;
    if (*text == '[' && bracket) {
        if (bracket[1] && (bracket[1] != ':' || !sl_parse_int(bracket + 2, 0, 65535, &port)))
            return false;
        *bracket = 0;
        return inet_pton(AF_INET6, text + 1, address) == 1;
    }
    if (colon && strchr(text, ':') == colon && sl_parse_int(colon + 1, 0, 65535, &port))
        *colon = 0;
    return read_plain(text, address);
}

static enum gw_scheme read_scheme(struct span word)
{
    return word.size == 5 && !strncasecmp(word.at, "https", 5)  ? GW_SCHEME_HTTPS
           : word.size == 4 && !strncasecmp(word.at, "http", 4) ? GW_SCHEME_HTTP
                                                                : GW_SCHEME_UNSAID;
}

static void read_host(struct span host, char out[GW_HOST_MAX + 1])
{
    if (!copy(host, out, GW_HOST_MAX) || !gw_host_is_legal(out))
        *out = 0;
}

/* --- X-Forwarded-* -----------------------------------------------------------------------------------------
 */

static size_t count_entries(const char *list)
{
    size_t count = 1;
    for (const char *c = list; *c; c++)
        count += *c == ',';
    return count;
}

/* The entry that lies so many before the last. */
static struct span entry_from_end(const char *list, size_t back)
{
    const char *end = list + strlen(list);
    for (;; back--) {
        const char *begin = end;
        while (begin > list && begin[-1] != ',')
            begin--;
        if (!back || begin == list)
            return trim(begin, (size_t)(end - begin));
        end = begin - 1;
    }
}

/* Of a list with an entry for each of the addresses, the one of the same proxy; else the last, which the
 * nearest proxy wrote. */
static struct span entry_beside(const char *list, const char *clients, size_t back)
{
    if (!list)
        return (struct span){0};
    return entry_from_end(list, clients && count_entries(list) == count_entries(clients) ? back : 0);
}

static void read_prefix(struct span prefix, char out[GW_PREFIX_MAX + 1])
{
    static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_~/";
    while (prefix.size && prefix.at[prefix.size - 1] == '/')
        prefix.size--;
    if (!copy(prefix, out, GW_PREFIX_MAX) || *out != '/' || out[strspn(out, legal)] || strstr(out, "//") ||
        strstr(out, "/."))
        *out = 0;
}

static void read_x_forwarded(const struct gw_networks *trusted, const struct gw_forwarded_headers *headers,
                             struct gw_forwarded *out)
{
    size_t entries = headers->clients ? count_entries(headers->clients) : 0, back = 0;
    for (size_t i = 0; i < entries && i < ELEMENTS_MAX && gw_networks_hold(trusted, out->client); i++) {
        unsigned char named[GW_ADDRESS_SIZE];
        back = i;
        if (!read_node(entry_from_end(headers->clients, i), named))
            break; /* whoever it is, the last that is known handed it on */
        memcpy(out->client, named, sizeof named);
    }
    struct span port = entry_beside(headers->port, headers->clients, back);
    char digits[8];
    int64_t number;
    out->scheme = read_scheme(entry_beside(headers->proto, headers->clients, back));
    read_host(entry_beside(headers->host, headers->clients, back), out->host);
    if (copy(port, digits, sizeof digits - 1) && sl_parse_int(digits, 1, 65535, &number))
        out->port = (uint16_t)number;
    read_prefix(entry_beside(headers->prefix, headers->clients, back), out->prefix);
}

/* --- Forwarded ---------------------------------------------------------------------------------------------
 */

enum parameter { FOR, HOST, PROTO, PARAMETERS };

struct element {
    struct span values[PARAMETERS]; /* quotes and all */
};

/* A value's end, or NULL: a quote that nobody closes. */
static const char *value_end(const char *at)
{
    if (*at != '"')
        return at + strcspn(at, ",; \t\"");
    for (at++; *at && *at != '"'; at++)
        if (*at == '\\' && !*++at)
            return NULL;
    return *at ? at + 1 : NULL;
}

static bool read_pair(const char **at, struct element *element)
{
    static const char *const names[PARAMETERS] = {"for", "host", "proto"};
    const char *equals = *at + strcspn(*at, "=,; \t\"");
    if (*equals != '=' || equals == *at)
        return false;
    const char *end = value_end(equals + 1);
    if (!end)
        return false;
    for (int i = 0; i < PARAMETERS; i++)
        if (strlen(names[i]) == (size_t)(equals - *at) &&
            !strncasecmp(*at, names[i], (size_t)(equals - *at))) {
            if (element->values[i].at)
                return false; /* twice: which one is meant? */
            element->values[i] = (struct span){equals + 1, (size_t)(end - equals - 1)};
        }
    *at = end;
    return true;
}

/* One element, up to the comma or the end. */
static bool read_element(const char **at, struct element *element)
{
    *element = (struct element){0};
    for (;;) {
        *at += strspn(*at, BLANKS ";");
        if (!**at || **at == ',')
            return true;
        if (!read_pair(at, element))
            return false;
        *at += strspn(*at, BLANKS);
        if (**at && **at != ',' && **at != ';')
            return false;
    }
}

/* Without quotes and backslashes; a span into room, or nothing when it does not fit. */
static struct span unquote(struct span value, char *room, size_t size)
{
    if (!value.at || *value.at != '"')
        return value;
    size_t used = 0;
    for (size_t i = 1; i + 1 < value.size; i++) {
        if (value.at[i] == '\\')
            i++;
        if (used == size)
            return (struct span){0};
        room[used++] = value.at[i];
    }
    return (struct span){room, used};
}

static bool read_forwarded(const struct gw_networks *trusted, const char *text, struct gw_forwarded *out)
{
    struct element ring[ELEMENTS_MAX];
    char room[GW_HOST_MAX];
    size_t count = 0;
    while (*(text += strspn(text, SEPARATORS))) {
        if (!read_element(&text, &ring[count % ELEMENTS_MAX]))
            return false;
        count++;
    }
    size_t least = count > ELEMENTS_MAX ? count - ELEMENTS_MAX : 0;
    const struct element *last = NULL;
    for (size_t i = count; i > least && gw_networks_hold(trusted, out->client); i--) {
        unsigned char named[GW_ADDRESS_SIZE];
        last = &ring[(i - 1) % ELEMENTS_MAX];
        if (!read_node(unquote(last->values[FOR], room, sizeof room), named))
            break;
        memcpy(out->client, named, sizeof named);
    }
    if (last) {
        out->scheme = read_scheme(unquote(last->values[PROTO], room, sizeof room));
        read_host(unquote(last->values[HOST], room, sizeof room), out->host);
    }
    return true;
}

bool gw_forwarded_read(const struct gw_networks *trusted, const unsigned char peer[GW_ADDRESS_SIZE],
                       const struct gw_forwarded_headers *headers, struct gw_forwarded *out, const char **why)
{
    struct gw_forwarded standard = {0};
    *out = (struct gw_forwarded){0};
    memcpy(out->client, peer, GW_ADDRESS_SIZE);
    memcpy(standard.client, peer, GW_ADDRESS_SIZE);
    read_x_forwarded(trusted, headers, out);
    if (!headers->forwarded)
        return true;
    if (!read_forwarded(trusted, headers->forwarded, &standard)) {
        *why = "Forwarded is malformed";
        return false;
    }
    if (headers->clients && memcmp(out->client, standard.client, GW_ADDRESS_SIZE) != 0)
        *why = "Forwarded and X-Forwarded-For name different clients";
    else if (out->scheme && standard.scheme && out->scheme != standard.scheme)
        *why = "Forwarded and X-Forwarded-Proto name different schemes";
    else if (*out->host && *standard.host && strcasecmp(out->host, standard.host) != 0)
        *why = "Forwarded and X-Forwarded-Host name different hosts";
    else
        *why = NULL;
    memcpy(out->client, standard.client, GW_ADDRESS_SIZE);
    if (standard.scheme)
        out->scheme = standard.scheme;
    if (*standard.host)
        memcpy(out->host, standard.host, sizeof out->host);
    return !*why;
}
