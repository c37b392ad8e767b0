/* The way that a request takes: the proxy for a URL, and what libcurl is told of it and of TLS. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/secret.h"
#include "base/text.h"
#include "net/engine.h"

/* Every text of the settings that is copied. */
#define TEXTS(set)                                                                                           \
    {                                                                                                        \
        &(set)->proxy.url, &(set)->proxy.shown, &(set)->proxy.origin, &(set)->secure_proxy.url,              \
            &(set)->secure_proxy.shown, &(set)->secure_proxy.origin, &(set)->no_proxy, &(set)->tls.ca_file,  \
            &(set)->tls.certificate_file, &(set)->tls.key_file, &(set)->tls.key_password, &(set)->user_agent \
    }

bool sl_options_copy(struct sl_http_options *options, const struct sl_http_settings *settings)
{
    options->set = *settings;
    bool copied = true;
    const char **const texts[] = TEXTS(&options->set);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *copy = sl_strdup(*texts[i]);
        copied &= copy || !*texts[i];
        *texts[i] = copy;
    }
    return copied;
}

void sl_options_free(struct sl_http_options *options)
{
    const char **const texts[] = TEXTS(&options->set);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *copy = (char *)(uintptr_t)*texts[i];
        sl_secret_free(&copy); /* some are */
    }
}

/* A host and the port that a URL names. */
struct place {
    char host[256];
    size_t size;
    int64_t port;
    int family; /* AF_INET, AF_INET6; 0: a name */
    unsigned char address[16];
};

/* "host", "host:port", "[address]:port", "address". false: too long. */
static bool read_place(const char *text, size_t size, struct place *place)
{
    const char *end = text + size, *host_end = end;
    memset(place, 0, sizeof *place);
    if (size && *text == '[') {
        text++;
        host_end = memchr(text, ']', (size_t)(end - text));
        if (!host_end)
            return false;
    } else {
        const char *colon = memchr(text, ':', size);
        if (colon && !memchr(colon + 1, ':', (size_t)(end - colon - 1)))
            host_end = colon;
    }
    place->size = (size_t)(host_end - text);
    if (place->size >= sizeof place->host)
        return false;
    memcpy(place->host, text, place->size);
    while (place->size && place->host[place->size - 1] == '.')
        place->size--;
    place->host[place->size] = 0;
    const char *colon = memchr(host_end, ':', (size_t)(end - host_end));
    if (colon) {
        char port[8] = "";
        size_t digits = (size_t)(end - colon - 1);
        if (digits >= sizeof port)
            return false;
        memcpy(port, colon + 1, digits);
        if (!sl_parse_int(port, 0, 65535, &place->port))
            return false;
    }
    place->family = inet_pton(AF_INET, place->host, place->address) == 1    ? AF_INET
                    : inet_pton(AF_INET6, place->host, place->address) == 1 ? AF_INET6
                                                                            : 0;
    return true;
}

static bool url_place(const char *url, struct place *place)
{
    char text[300];
    sl_url_endpoint(url, text, sizeof text);
    return read_place(text, strlen(text), place);
}

/* address/bits */
static bool in_network(const struct place *place, const char *entry, size_t size)
{
    char text[64];
    unsigned char network[16];
    int64_t bits;
    const char *slash = memchr(entry, '/', size);
    if (!place->family || !slash || size >= sizeof text)
        return false;
    snprintf(text, sizeof text, "%.*s", (int)size, entry);
    text[slash - entry] = 0;
    if (inet_pton(place->family, text, network) != 1 ||
        !sl_parse_int(text + (slash - entry) + 1, 0, place->family == AF_INET ? 32 : 128, &bits))
        return false;
    size_t whole = (size_t)bits / 8, rest = (size_t)bits % 8;
    return !memcmp(network, place->address, whole) &&
           (!rest || !((network[whole] ^ place->address[whole]) >> (8 - rest)));
}

static bool matches(const struct place *place, const char *entry, size_t size)
{
    struct place named;
    if (memchr(entry, '/', size))
        return in_network(place, entry, size);
    if (size && *entry == '*' && size > 1 && entry[1] == '.')
        entry++, size--;
    if (size && *entry == '.')
        entry++, size--;
    if (!size || !read_place(entry, size, &named) || !named.size || (named.port && named.port != place->port))
        return false;
    if (named.family || place->family)
        return named.family == place->family && !memcmp(named.address, place->address, sizeof named.address);
    if (named.size > place->size)
        return false;
    const char *tail = place->host + (place->size - named.size);
    return !strcasecmp(tail, named.host) && (tail == place->host || tail[-1] == '.');
}

bool sl_http_is_exempt(const char *list, const char *url)
{
    static const char separators[] = ", \t";
    struct place place;
    if (!list || !url_place(url, &place))
        return false;
    while (*(list += strspn(list, separators))) {
        size_t size = strcspn(list, separators);
        if ((size == 1 && *list == '*') || matches(&place, list, size))
            return true;
        list += size;
    }
    return false;
}

const struct sl_http_proxy *sl_options_proxy(const struct sl_http_options *options, const char *url,
                                             const struct sl_http_proxy **exempt)
{
    const struct sl_http_proxy *proxy =
        strncasecmp(url, "https:", 6) ? &options->set.proxy : &options->set.secure_proxy;
    if (!proxy->url || !*proxy->url)
        return NULL;
    if (!sl_http_is_exempt(options->set.no_proxy, url))
        return proxy;
    if (exempt)
        *exempt = proxy;
    return NULL;
}

bool *sl_options_only_basic(struct sl_http_options *options, const struct sl_http_proxy *proxy)
{
    return &options->only_basic[proxy == &options->set.secure_proxy];
}

void sl_proxy_describe(const struct sl_http_proxy *proxy, char *text, size_t size)
{
    if (!proxy->origin)
        snprintf(text, size, "%s", proxy->shown ? proxy->shown : "that is set");
    else
        snprintf(text, size, "%.100s (%.90s)", proxy->shown ? proxy->shown : "that is set", proxy->origin);
}

#define SET(option, value) (curl_easy_setopt(easy, option, value) == CURLE_OK)

/*
 * What is known of the way is set always, so that libcurl never asks the environment. Digest is never allowed
 * alone: libcurl would then send a POST without its body first, to be challenged, and a proxy that asks for
 * no password would hand an empty message on.
 */
static bool apply_proxy(const struct sl_http_options *options, const struct sl_http_proxy *proxy, CURL *easy)
{
    bool only_basic = options->only_basic[proxy == &options->set.secure_proxy];
    return SET(CURLOPT_PROXY, proxy ? proxy->url : "") && SET(CURLOPT_NOPROXY, "") &&
           SET(CURLOPT_PROXYAUTH, only_basic ? CURLAUTH_BASIC : CURLAUTH_BASIC | CURLAUTH_DIGEST);
}

bool sl_options_apply(const struct sl_http_options *options, const struct sl_http_proxy *proxy, CURL *easy)
{
    const struct sl_http_tls *tls = &options->set.tls;
    long version = tls->at_least_1_3 ? (long)CURL_SSLVERSION_TLSv1_3 : (long)CURL_SSLVERSION_TLSv1_2;
    bool own = tls->ca_file; /* then the system's directory of CAs counts no more, either */
    return apply_proxy(options, proxy, easy) && SET(CURLOPT_SSLVERSION, version) &&
           SET(CURLOPT_PROXY_SSLVERSION, version) &&
           (!own || (SET(CURLOPT_CAINFO, tls->ca_file) && SET(CURLOPT_CAPATH, NULL) &&
                     SET(CURLOPT_PROXY_CAINFO, tls->ca_file) && SET(CURLOPT_PROXY_CAPATH, NULL))) &&
           (!tls->certificate_file ||
            (SET(CURLOPT_SSLCERT, tls->certificate_file) &&
             SET(CURLOPT_SSLKEY, tls->key_file ? tls->key_file : tls->certificate_file))) &&
           (!tls->key_password || SET(CURLOPT_KEYPASSWD, tls->key_password));
}
