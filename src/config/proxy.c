/* The proxy: what the settings say, or else the environment, in one form that leaves libcurl nothing to
 * guess. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "config/config.h"

#define PROXY SL_ROOT "proxy."

enum { URL_MAX = 16 * 1024, DEFAULT_PORT = 1080, DEFAULT_SECURE_PORT = 443 };

static const char *const schemes[] = {"http", "https", "socks5", "socks5h", "socks4", "socks4a", NULL};

/* What a proxy's address is made of; user and password are plain text, NULL where there is none. */
struct address {
    const char *scheme, *host, *user, *password;
    int port;
};

/* A text that is set and not empty. */
static const char *text_at(const sl_config *config, const char *path)
{
    const char *text = sl_config_get(config, path);
    return text && *text ? text : NULL;
}

void sl_proxy_free(struct sl_proxy *proxy)
{
    sl_secret_free(&proxy->url);
    free(proxy->shown);
    free(proxy->origin);
    memset(proxy, 0, sizeof *proxy);
}

/* Fills proxy from what was read and found good. */
static sl_status make(const struct address *address, const char *origin, struct sl_proxy *proxy,
                      sl_error *error)
{
    struct sl_buffer url;
    sl_buffer_init(&url, URL_MAX);
    /* All of it at once, for what grows leaves pieces of the password behind. */
    size_t room = (address->user ? 3 * strlen(address->user) : 0) +
                  (address->password ? 3 * strlen(address->password) : 0) + strlen(address->host) + 64;
    (void)sl_buffer_reserve(&url, room < URL_MAX ? room : URL_MAX);
    bool bracket = strchr(address->host, ':');
    sl_buffer_printf(&url, "%s://", address->scheme);
    if (address->user) {
        sl_percent_encode(&url, address->user, strlen(address->user));
        sl_buffer_append_text(&url, ":");
        if (address->password)
            sl_percent_encode(&url, address->password, strlen(address->password));
        sl_buffer_append_text(&url, "@");
    }
    sl_buffer_printf(&url, "%s%s%s:%d", bracket ? "[" : "", address->host, bracket ? "]" : "", address->port);
    proxy->shown = sl_printf("%s://%s%s%s:%d", address->scheme, bracket ? "[" : "", address->host,
                             bracket ? "]" : "", address->port);
    if (url.failed && url.data) /* too long */
        explicit_bzero(url.data, url.capacity);
    proxy->url = sl_buffer_take(&url);
    proxy->origin = sl_strdup(origin);
    proxy->named = address->user;
    sl_buffer_free(&url);
    return proxy->url && proxy->shown && proxy->origin ? SL_OK : sl_error_oom(error);
}

static sl_status none(struct sl_proxy *proxy, sl_error *error)
{
    proxy->url = sl_strdup("");
    proxy->shown = sl_strdup("");
    proxy->origin = sl_strdup("");
    return proxy->url && proxy->shown && proxy->origin ? SL_OK : sl_error_oom(error);
}

static bool has_controls(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

/* A name or an IPv4 address, or an IPv6 address without brackets. */
static bool is_host(const char *host)
{
    unsigned char address[16];
    if (strchr(host, ':'))
        return inet_pton(AF_INET6, host, address) == 1;
    size_t size = strlen(host);
    return size && size <= 253 &&
           strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == size;
}

/* --- the settings --------------------------------------------------------------------------------------- */

static sl_status credentials(const sl_config *config, struct address *address, sl_error *error)
{
    address->user = text_at(config, PROXY "credentials.username");
    address->password = text_at(config, PROXY "credentials.password");
    if (address->password && !address->user)
        return sl_error_set(error, SL_BAD_CONFIG,
                            "%s: " PROXY "credentials.password is set, but no " PROXY "credentials.username",
                            sl_config_origin(config, PROXY "credentials.password"));
    if (address->user && (has_controls(address->user) || strchr(address->user, ':')))
        return sl_error_set(error, SL_BAD_CONFIG,
                            "%s: " PROXY
                            "credentials.username holds %s, which no proxy takes in a user's name",
                            sl_config_origin(config, PROXY "credentials.username"),
                            has_controls(address->user) ? "a control character" : "a colon");
    if (address->password && has_controls(address->password))
        return sl_error_set(error, SL_BAD_CONFIG,
                            "%s: " PROXY "credentials.password holds a control character",
                            sl_config_origin(config, PROXY "credentials.password"));
    return SL_OK;
}

static sl_status from_settings(const sl_config *config, const char *given, const struct address *user,
                               struct sl_proxy *proxy, sl_error *error)
{
    struct address address = *user;
    const char *origin = sl_config_origin(config, PROXY "host");
    char host[256];
    size_t size = strlen(given);
    bool bracketed = size > 2 && given[0] == '[' && given[size - 1] == ']';
    snprintf(host, sizeof host, "%.*s",
             (int)(bracketed    ? size - 2
                   : size < 255 ? size
                                : 255),
             given + bracketed);
    if (size > 253 || !is_host(host))
        return sl_error_set(error, SL_BAD_CONFIG,
                            "%s: " PROXY
                            "host is not a host: write its name or address alone, and the port as proxy.port",
                            origin);
    int64_t port = 0;
    sl_status status = sl_config_integer(config, PROXY "port", &port, error);
    if (!status)
        status = sl_config_choice(config, PROXY "scheme", &address.scheme, error);
    address.host = host;
    address.port = (int)port;
    return status ? status : make(&address, origin, proxy, error);
}

/* --- the environment ------------------------------------------------------------------------------------ */

static const char *variable(const char *name)
{
    const char *value = secure_getenv(name); /* NOLINT(concurrency-mt-unsafe): read only */
    return value && *value ? value : NULL;
}

/* The first of the variables that is set; *name: which. HTTP_PROXY is not among them: a web server that runs
 * a program sets it from the request's Proxy header. */
static const char *first_variable(const char *const *names, const char **name)
{
    for (; *names; names++) {
        *name = *names;
        const char *value = variable(*names);
        if (value)
            return value;
    }
    return NULL;
}

/* "USER[:PASSWORD]", percent-encoded. */
static const char *cut_user(char *user, struct address *address)
{
    if (strpbrk(user, "/?#@"))
        return "its user or password holds one of / ? # @ as it is (write %2F %3F %23 %40)";
    char *password = strchr(user, ':');
    if (password)
        *password++ = 0;
    address->user = user;
    address->password = password;
    long user_size = sl_percent_decode(user), password_size = password ? sl_percent_decode(password) : 0;
    if (user_size < 0 || password_size < 0 || (size_t)user_size != strlen(user) || has_controls(user) ||
        (password && ((size_t)password_size != strlen(password) || has_controls(password))))
        return "its user or password has a broken %-escape, or one of a control character";
    if (!*user)
        return "there is a password in it, but no user";
    return strchr(user, ':') ? "its user holds a colon, which no proxy takes in a user's name" : NULL;
}

/* "HOST[:PORT][/]" */
static const char *cut_host(char *rest, struct address *address)
{
    static const char no_host[] = "its host is no name or address";
    size_t authority = strcspn(rest, "/?#");
    if (rest[authority] && strcmp(rest + authority, "/") != 0)
        return "something follows the host and the port";
    rest[authority] = 0;
    char *port;
    if (*rest == '[') {
        char *end = strchr(rest, ']');
        if (!end || (end[1] && end[1] != ':'))
            return no_host;
        port = end[1] ? end + 2 : NULL;
        *end = 0;
        rest++;
        if (!strchr(rest, ':'))
            return no_host;
    } else if ((port = strchr(rest, ':'))) {
        *port++ = 0;
    }
    if (!is_host(rest))
        return no_host;
    address->host = rest;
    int64_t number = strcmp(address->scheme, "https") ? DEFAULT_PORT : DEFAULT_SECURE_PORT;
    if (port && !sl_parse_int(port, 1, 65535, &number))
        return "its port is no number from 1 to 65535";
    address->port = (int)number;
    return NULL;
}

/* Cuts text, "[SCHEME://][USER[:PASSWORD]@]HOST[:PORT][/]", into its parts. Returns what is wrong with it;
 * NULL: nothing. Never its value, which may hold a password. */
static const char *cut(char *text, struct address *address)
{
    if (strpbrk(text, " \t") || has_controls(text))
        return "there is a blank or a control character in it (written %20 in a password)";
    char *rest = strstr(text, "://");
    address->scheme = "http";
    if (rest) {
        *rest = 0;
        rest += 3;
        const char *const *known = schemes;
        while (*known && strcasecmp(*known, text))
            known++;
        if (!*known)
            return "its scheme is none of http, https, socks5, socks5h, socks4, socks4a";
        address->scheme = *known;
    } else {
        rest = text;
    }
    char *at = strrchr(rest, '@');
    const char *fault = NULL;
    if (at) {
        *at = 0;
        fault = cut_user(rest, address);
        rest = at + 1;
    }
    return fault ? fault : cut_host(rest, address);
}

static sl_status from_environment(const char *value, const char *name, const struct address *settings,
                                  struct sl_proxy *proxy, sl_error *error)
{
    char *text = strdup(value);
    if (!text)
        return sl_error_oom(error);
    struct address address = {0};
    char origin[64];
    snprintf(origin, sizeof origin, "environment %s", name);
    const char *fault = cut(text, &address);
    sl_status status = SL_OK;
    if (fault)
        status = sl_error_set(error, SL_BAD_CONFIG,
                              "%s: that is no proxy's address: %s; expected "
                              "[http://][USER[:PASSWORD]@]HOST[:PORT]",
                              origin, fault);
    if (!address.user) { /* the environment says where it is, the settings who we are */
        address.user = settings->user;
        address.password = settings->password;
    }
    if (!status)
        status = make(&address, origin, proxy, error);
    explicit_bzero(text, strlen(value));
    free(text);
    return status;
}

sl_status sl_config_proxy(const sl_config *config, bool secure, struct sl_proxy *proxy, sl_error *error)
{
    static const char *const plain_names[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
    static const char *const secure_names[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL};
    memset(proxy, 0, sizeof *proxy);
    struct address address = {0};
    sl_status status = credentials(config, &address, error);
    if (status)
        return status;
    const char *host = sl_config_get(config, PROXY "host"), *name = NULL;
    if (host)
        status = *host ? from_settings(config, host, &address, proxy, error) : none(proxy, error);
    else if ((host = first_variable(secure ? secure_names : plain_names, &name)))
        status = from_environment(host, name, &address, proxy, error);
    else
        status = none(proxy, error);
    if (status)
        sl_proxy_free(proxy);
    return status;
}

const char *sl_config_no_proxy(const sl_config *config)
{
    static const char *const names[] = {"no_proxy", "NO_PROXY", NULL};
    const char *name, *set = sl_config_get(config, PROXY "exclude");
    return set ? set : first_variable(names, &name);
}
