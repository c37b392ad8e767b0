#include "gateway/listen.h"

#include "base/error.h"
#include "base/text.h"
#include "config/settings.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define LISTEN SL_GATEWAY_ROOT "listen."
#define TLS    LISTEN "tls."
#define CORS   SL_GATEWAY_ROOT "cors."

static const char *text_setting(const sl_config *config, const char *path)
{
    const char *value = sl_config_get(config, path);
    return value && *value ? value : NULL;
}

static const char *origin_of(const sl_config *config, const char *path)
{
    const char *origin = sl_config_origin(config, path);
    return origin ? origin : "-";
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 == 127;
    if (address->sa_family != AF_INET6)
        return false;
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == 127);
}

/* Whether nobody but this machine's own programs reaches the address. */
static sl_status find_loopback(const sl_config *config, const char *name, bool *loopback, sl_error *error)
{
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    int code = getaddrinfo(name, NULL, &hints, &found);
    if (code)
        return sl_error_set(error, SL_BAD_CONFIG,
                            "%s: " LISTEN "address = %s: no address of this machine: %s; name one, such as "
                            "127.0.0.1, or 0.0.0.0 or :: for all",
                            origin_of(config, LISTEN "address"), name, gai_strerror(code));
    *loopback = true;
    for (const struct addrinfo *each = found; each; each = each->ai_next)
        *loopback &= is_loopback(each->ai_addr);
    freeaddrinfo(found);
    return SL_OK;
}

/* Tokens and messages do not cross the network in the clear by oversight. */
static sl_status check_plain(const sl_config *config, struct gw_listen *listen, sl_error *error)
{
    const char *address = text_setting(config, LISTEN "address");
    bool allowed, loopback = true;
    if (listen->secure)
        return SL_OK;
    sl_status status = sl_config_boolean(config, LISTEN "plain-off-loopback", &allowed, error);
    if (!status && address)
        status = find_loopback(config, address, &loopback, error);
    if (status || loopback || allowed)
        return status;
    return sl_error_set(
        error, SL_BAD_CONFIG,
        "%s: " LISTEN "address = %s: others reach that address, and without TLS they could read "
        "tokens and messages: set " TLS "certificate and " TLS "key; or listen on 127.0.0.1; or, "
        "where the network is trusted or a proxy adds TLS, set " LISTEN "plain-off-loopback = true",
        origin_of(config, LISTEN "address"), address);
}

/* "gateway.conf:3: streamlayer.gateway.listen.tls.key" */
static bool name_file(const sl_config *config, const char *path, const char **file, const char **shown,
                      char **made)
{
    *file = text_setting(config, path);
    *made = *file ? sl_printf("%s: %s", origin_of(config, path), path) : NULL;
    *shown = *made;
    return !*file || *made;
}

static sl_status refuse(const sl_config *config, const char *path, const char *text, sl_error *error)
{
    return sl_error_set(error, SL_BAD_CONFIG, "%s: %s = %s: %s", origin_of(config, path), path,
                        sl_config_get(config, path), text);
}

static sl_status read_clients(const sl_config *config, struct gw_listen *listen, sl_error *error)
{
    struct gw_tls_settings *tls = &listen->tls;
    const char *word;
    sl_status status = sl_config_choice(config, TLS "client-certificates", &word, error);
    if (status)
        return status;
    tls->clients = !strcmp(word, "required")   ? GW_CLIENT_CERTIFICATES_REQUIRED
                   : !strcmp(word, "optional") ? GW_CLIENT_CERTIFICATES_OPTIONAL
                                               : GW_CLIENT_CERTIFICATES_NONE;
    if (tls->clients && !tls->client_ca)
        return refuse(config, TLS "client-certificates",
                      "there is no " TLS
                      "client-ca to hold them against: name the file of the CA that made them",
                      error);
    if (!tls->clients && tls->client_ca)
        return refuse(config, TLS "client-ca",
                      "no client is asked for a certificate: set " TLS "client-certificates to optional or "
                      "required, or leave this out",
                      error);
    return SL_OK;
}

/* What is set for TLS where there is no certificate would be thought to be in force. */
static sl_status check_unused(const sl_config *config, struct gw_listen *listen, sl_error *error)
{
    const struct gw_tls_settings *tls = &listen->tls;
    if (listen->secure)
        return SL_OK;
    const char *alone = tls->key ? TLS "key" : tls->client_ca ? TLS "client-ca" : NULL;
    return alone ? refuse(config, alone,
                          "there is no " TLS "certificate, so that plain HTTP would be served: name its file",
                          error)
                 : SL_OK;
}

static sl_status read_files(const sl_config *config, struct gw_listen *listen, sl_error *error)
{
    struct gw_tls_settings *tls = &listen->tls;
    if (!name_file(config, TLS "certificate", &tls->certificate, &tls->certificate_name,
                   &listen->tls_names[0]) ||
        !name_file(config, TLS "key", &tls->key, &tls->key_name, &listen->tls_names[1]) ||
        !name_file(config, TLS "client-ca", &tls->client_ca, &tls->client_ca_name, &listen->tls_names[2]))
        return sl_error_oom(error);
    listen->secure = tls->certificate != NULL;
    return SL_OK;
}

static sl_status read_version(const sl_config *config, struct gw_listen *listen, sl_error *error)
{
    const char *version;
    sl_status status = sl_config_choice(config, TLS "min-version", &version, error);
    listen->tls.at_least_1_3 = !status && !strcmp(version, "1.3");
    return status;
}

static sl_status read_cors(const sl_config *config, struct gw_listen *listen, sl_error *error)
{
    struct gw_cors *cors = &listen->cors;
    char bad[100] = "";
    int64_t age_ms;
    sl_status status = sl_config_duration_ms(config, CORS "max-age", &age_ms, error);
    if (status)
        return status;
    cors->max_age_s = (unsigned)(age_ms / 1000);
    status = gw_cors_parse(text_setting(config, CORS "origins"), cors, bad);
    if (status == SL_OUT_OF_MEMORY)
        return sl_error_oom(error);
    return status
               ? sl_error_set(error, status,
                              "%s: " CORS "origins: \"%s\" is no origin; write https://HOST or "
                              "https://HOST:PORT as browsers do, without a path, several with commas between "
                              "them, or * for every page",
                              origin_of(config, CORS "origins"), bad)
               : SL_OK;
}

static sl_status read_proxies(const sl_config *config, struct gw_listen *listen, sl_error *error)
{
    char bad[100] = "";
    sl_status status =
        gw_networks_parse(text_setting(config, LISTEN "trusted-proxies"), &listen->trusted_proxies, bad);
    if (status == SL_OUT_OF_MEMORY)
        return sl_error_oom(error);
    return status ? sl_error_set(
                        error, status,
                        "%s: " LISTEN "trusted-proxies: \"%s\" is no address or network; write 192.0.2.7, "
                        "10.0.0.0/8 or fd00::/8 (with nothing but zeros behind the prefix), several with "
                        "commas between them",
                        origin_of(config, LISTEN "trusted-proxies"), bad)
                  : SL_OK;
}

/* In this order: whether plain HTTP is spoken is known from the files. */
static sl_status (*const parts[])(const sl_config *config, struct gw_listen *listen, sl_error *error) = {
    read_files, check_unused, read_version, read_clients, check_plain, read_cors, read_proxies};

sl_status gw_listen_read(const sl_config *config, struct gw_listen *listen, sl_error *error)
{
    sl_status status = SL_OK;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !status; i++)
        status = parts[i](config, listen, error);
    return status;
}

void gw_listen_check(const sl_config *config, struct gw_listen *listen, struct gw_faults *faults)
{
    sl_error error = {0};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        gw_fault(faults, parts[i](config, listen, &error), &error);
}

void gw_listen_free(struct gw_listen *listen)
{
    for (size_t i = 0; i < sizeof listen->tls_names / sizeof *listen->tls_names; i++)
        free(listen->tls_names[i]);
    gw_cors_free(&listen->cors);
    gw_networks_free(&listen->trusted_proxies);
    *listen = (struct gw_listen){0};
}

void gw_listen_apply(const struct gw_listen *listen, struct gw_server_settings *settings)
{
    settings->tls = listen->secure ? &listen->tls : NULL;
    settings->cors = &listen->cors;
    settings->trusted_proxies = &listen->trusted_proxies;
}
