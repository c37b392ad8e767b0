/* What libcurl's failures mean: a status, whether a further try may help, and a text that says how to mend
 * it. */
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "net/engine.h"

enum { PEER = 300 };

void sl_url_endpoint(const char *url, char *text, size_t size)
{
    const char *rest = strstr(url, "://");
    bool secure = !strncasecmp(url, "https", 5);
    rest = rest ? rest + 3 : url;
    size_t authority = strcspn(rest, "/?#");
    for (size_t i = authority; i > 0; i--)
        if (rest[i - 1] == '@') {
            rest += i, authority -= i;
            break;
        }
    const char *bracket = memchr(rest, ']', authority);
    const char *host_end = bracket ? bracket : rest;
    bool has_port = memchr(host_end, ':', authority - (size_t)(host_end - rest));
    snprintf(text, size, "%.*s%s", (int)(authority < 255 ? authority : 255), rest,
             has_port ? ""
             : secure ? ":443"
                      : ":80");
}

/* libcurl's own text, but for those that quote a URL with what may be a password. */
static const char *own_text(const struct sl_call *call, CURLcode code)
{
    return *call->curl_text && !strchr(call->curl_text, '@') ? call->curl_text : curl_easy_strerror(code);
}

static void set(struct sl_call *call, sl_status status, bool retriable, const char *format, ...)
    SL_PRINTF(4, 5);

/* "METHOD URL: text" */
static void set(struct sl_call *call, sl_status status, bool retriable, const char *format, ...)
{
    char what[SL_HTTP_DESCRIPTION];
    va_list arguments;
    sl_error *error = &call->response.error;
    sl_http_describe(call->method, call->url, what, sizeof what);
    va_start(arguments, format);
    sl_error_vset(error, status, format, arguments);
    va_end(arguments);
    sl_error_prefix(error, "%s", what);
    error->retriable = retriable;
}

static const char *or_none(const char *text)
{
    return text ? text : "";
}

/* "Basic, Digest" */
static void name_schemes(long offered, char *text, size_t size)
{
    static const struct {
        unsigned long bit;
        const char *name;
    } schemes[] = {{CURLAUTH_BASIC, "Basic"},
                   {CURLAUTH_DIGEST, "Digest"},
                   {CURLAUTH_NTLM, "NTLM"},
                   {CURLAUTH_NEGOTIATE, "Negotiate"},
                   {CURLAUTH_BEARER, "Bearer"}};
    size_t length = 0;
    *text = 0;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes && length < size; i++)
        if ((unsigned long)offered & schemes[i].bit)
            length += (size_t)snprintf(text + length, size - length, ", %s", schemes[i].name);
}

void sl_call_refused_by_proxy(struct sl_call *call, long answer)
{
    const struct sl_http_names *names = &call->options->set.names;
    char schemes[80];
    long offered = 0;
    curl_easy_getinfo(call->easy, CURLINFO_PROXYAUTH_AVAIL, &offered);
    name_schemes(offered, schemes, sizeof schemes);
    bool named = strchr(call->proxy->url, '@');
    /* It knew Basic alone, and wants another way now: the next try asks. */
    bool changed = call->options->only_basic[call->proxy == &call->options->set.secure_proxy] &&
                   ((unsigned long)offered & CURLAUTH_DIGEST);
    sl_buffer_reset(&call->response.body);
    if (named && offered && !((unsigned long)offered & (CURLAUTH_BASIC | CURLAUTH_DIGEST)))
        set(call, SL_UNAUTHENTICATED, false,
            "the proxy %s takes neither Basic nor Digest, which are known here (HTTP 407%s)",
            call->response.proxy, schemes);
    else if (named)
        set(call, SL_UNAUTHENTICATED, changed,
            "the proxy %s refuses the user and password given for it (HTTP %ld)", call->response.proxy,
            answer);
    else
        set(call, SL_UNAUTHENTICATED, false, "the proxy %s asks for a user and password (HTTP 407%s)%s%s",
            call->response.proxy, schemes, names->proxy_credentials ? ": set " : "",
            or_none(names->proxy_credentials));
    call->response.error.http_status = 407;
    call->response.unsent = true;
}

/* The proxy has answered CONNECT, and not with a 2xx. */
static void refused_connect(struct sl_call *call, long answer)
{
    char peer[PEER];
    sl_url_endpoint(call->url, peer, sizeof peer);
    if (answer == 407 || answer == 401) { /* tinyproxy's for a wrong password */
        sl_call_refused_by_proxy(call, answer);
        return;
    }
    if (answer == 403 || answer == 405)
        set(call, SL_FORBIDDEN, false, "the proxy %s does not allow a connection to %s (HTTP %ld)",
            call->response.proxy, peer, answer);
    else if (answer >= 500 || answer == 408 || answer == 429)
        set(call, SL_UNAVAILABLE, answer != 501, "the proxy %s does not reach %s (HTTP %ld)",
            call->response.proxy, peer, answer);
    else
        set(call, SL_UNAVAILABLE, false, "the proxy %s makes no connection to %s (HTTP %ld)",
            call->response.proxy, peer, answer);
    call->response.error.http_status = (int)answer;
    call->response.unsent = true;
}

static sl_status status_of(CURLcode code, bool *retriable)
{
    *retriable = true;
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return SL_TIMED_OUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PROXY:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_ABORTED_BY_CALLBACK: /* on_sending's */
    case CURLE_WEIRD_SERVER_REPLY:
        return SL_UNAVAILABLE;
    default:
        *retriable = false;
    }
    switch (code) {
    case CURLE_OUT_OF_MEMORY:
        return SL_OUT_OF_MEMORY;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return SL_INVALID_ARGUMENT;
    case CURLE_PEER_FAILED_VERIFICATION:
        return SL_UNAVAILABLE;
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
        return SL_IO;
    default:
        return SL_PROTOCOL;
    }
}

/* What libcurl says of a certificate that does not hold. */
static void untrusted(struct sl_call *call, CURLcode code, const char *peer, bool is_proxy)
{
    const struct sl_http_settings *settings = &call->options->set;
    long verdict = 0;
    curl_easy_getinfo(call->easy, is_proxy ? CURLINFO_PROXY_SSL_VERIFYRESULT : CURLINFO_SSL_VERIFYRESULT,
                      &verdict);
    switch (verdict) {
    case X509_V_OK: /* the chain holds: it is the name, which libcurl compares by itself */
    case X509_V_ERR_UNSPECIFIED:
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        set(call, SL_UNAVAILABLE, false, "the certificate of %s is for another host name (%s)", peer,
            own_text(call, code));
        break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        set(call, SL_UNAVAILABLE, false,
            "the certificate of %s has expired (by this machine's clock: is it right?)", peer);
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        set(call, SL_UNAVAILABLE, false,
            "the certificate of %s is not valid yet (by this machine's clock: is it right?)", peer);
        break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        if (settings->tls.ca_file)
            set(call, SL_UNAVAILABLE, false,
                "the certificate of %s is signed by a CA that is not in the CA file %.300s%s%s%s", peer,
                settings->tls.ca_file, settings->names.ca_file ? " (" : "", or_none(settings->names.ca_file),
                settings->names.ca_file ? ")" : "");
        else
            set(call, SL_UNAVAILABLE, false,
                "the certificate of %s is signed by none of the CAs trusted here (the system's)%s%s", peer,
                settings->names.ca_file ? ": set " : "", or_none(settings->names.ca_file));
        break;
    default:
        set(call, SL_UNAVAILABLE, false, "the certificate of %s does not hold: %s", peer,
            own_text(call, code));
    }
}

static bool says(const struct sl_call *call, const char *const *words)
{
    for (; *words; words++)
        if (strcasestr(call->curl_text, *words))
            return true;
    return false;
}

/* OpenSSL's words for the alert that the other side sent: "alert unknown ca". */
static void copy_alert(const struct sl_call *call, char *text, size_t size)
{
    const char *alert = strstr(call->curl_text, "alert ");
    snprintf(text, size, "%.*s", alert ? (int)strcspn(alert, ",") : 0, alert ? alert : "");
}

/* A failed handshake that trying again does not mend. libcurl has one code for all of them, so that OpenSSL's
 * words must tell. false: it is none of those known. */
static bool no_handshake(struct sl_call *call, const char *peer)
{
    static const char *const no_tls[] = {"wrong version number", "packet length too long", "http request",
                                         "record layer failure", NULL};
    static const char *const versions[] = {"unsupported protocol", "protocol version",
                                           "no protocols available", NULL};
    static const char *const wanted[] = {"certificate required", NULL};
    static const char *const refused[] = {"alert bad certificate",     "alert unknown ca",
                                          "alert certificate unknown", "alert certificate expired",
                                          "alert certificate revoked", "alert unsupported certificate",
                                          "alert access denied",       NULL};
    static const char *const no_agreement[] = {"alert handshake failure", NULL};
    const struct sl_http_settings *settings = &call->options->set;
    const struct sl_http_names *names = &settings->names;
    const char *mine = settings->tls.certificate_file;
    char alert[80];
    copy_alert(call, alert, sizeof alert);
    if (says(call, no_tls))
        set(call, SL_UNAVAILABLE, false, "%s does not speak TLS: is it an http:// address?", peer);
    else if (says(call, versions))
        set(call, SL_UNAVAILABLE, false,
            "%s and this side have no version of TLS in common (here at least %s%s%s)", peer,
            settings->tls.at_least_1_3 ? "1.3" : "1.2", names->min_version ? ": " : "",
            or_none(names->min_version));
    else if (mine && (says(call, refused) || says(call, wanted)))
        set(call, SL_UNAVAILABLE, false, "%s refuses the client certificate %.300s (%s)", peer, mine, alert);
    else if (says(call, wanted) || (!mine && says(call, refused)))
        set(call, SL_UNAVAILABLE, false, "%s wants a client certificate%s%s", peer,
            names->certificate_file ? ": set " : "", or_none(names->certificate_file));
    else if (says(call, no_agreement) && mine)
        set(call, SL_UNAVAILABLE, false, "%s refuses the TLS handshake (%s)", peer, alert);
    else if (says(call, no_agreement))
        set(call, SL_UNAVAILABLE, false,
            "%s refuses the TLS handshake (%s): it may want a client certificate%s%s", peer, alert,
            names->certificate_file ? ", see " : "", or_none(names->certificate_file));
    else
        return false;
    return true;
}

/* What TLS has to do with the failure. false: nothing. */
static bool tls_failure(struct sl_call *call, CURLcode code, long connect_answer)
{
    char peer[PEER];
    bool is_proxy = call->proxy && !strncmp(call->proxy->url, "https", 5) && !connect_answer;
    if (!is_proxy && strncasecmp(call->url, "https:", 6) != 0)
        return false; /* libcurl's "Failed sending HTTP request" would read as OpenSSL's "http request" */
    if (is_proxy)
        snprintf(peer, sizeof peer, "the proxy %s", call->response.proxy);
    else
        sl_url_endpoint(call->url, peer, sizeof peer);
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
        untrusted(call, code, peer, is_proxy);
        return true;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_RECV_ERROR: /* TLS 1.3 tells of a client certificate after the handshake */
    case CURLE_SEND_ERROR:
        return no_handshake(call, peer);
    case CURLE_SSL_CERTPROBLEM:
        set(call, SL_BAD_CONFIG, false, "the client certificate %.300s cannot be used: %s",
            or_none(call->options->set.tls.certificate_file), own_text(call, code));
        return true;
    case CURLE_SSL_CACERT_BADFILE:
        set(call, SL_BAD_CONFIG, false, "the CA file %.300s cannot be used: %s",
            or_none(call->options->set.tls.ca_file), own_text(call, code));
        return true;
    default:
        return false;
    }
}

static bool is_near(const char *url)
{
    return sl_http_is_exempt("localhost,127.0.0.0/8,::1", url);
}

/* Nothing was connected to. */
static void not_connected(struct sl_call *call, CURLcode code)
{
    const struct sl_http_names *names = &call->options->set.names;
    const struct sl_http_proxy *exempt = NULL;
    bool retriable;
    sl_status status = status_of(code, &retriable);
    const char *text = own_text(call, code);
    if (call->proxy) {
        set(call, status, retriable, "the proxy %s cannot be reached: %s", call->response.proxy, text);
        return;
    }
    sl_options_proxy(call->options, call->url, &exempt);
    if (exempt) {
        char proxy[sizeof call->response.proxy];
        sl_proxy_describe(exempt, proxy, sizeof proxy);
        set(call, status, retriable, "%s; it is exempt from the proxy %s%s%s", text, proxy,
            names->no_proxy ? ": see " : "", or_none(names->no_proxy));
    } else if (names->proxy_host && !is_near(call->url)) {
        set(call, status, retriable,
            "%s; no proxy is set: where only one gets through, set %s or https_proxy", text,
            names->proxy_host);
    } else {
        set(call, status, retriable, "%s", text);
    }
}

void sl_call_fail(struct sl_call *call, CURLcode code)
{
    struct sl_http_response *response = &call->response;
    if (!code) {
        set(call, SL_PROTOCOL, false, "an answer without an HTTP status");
        return;
    }
    if (code == CURLE_WRITE_ERROR && call->too_big) {
        set(call, SL_PROTOCOL, false, "the answer is longer than the %zu bytes allowed", response->body.max);
        return;
    }
    if (code == CURLE_WRITE_ERROR) {
        sl_error_oom(&response->error);
        return;
    }
    response->unsent = !call->sendings;
    long answer = 0;
    curl_off_t connected_us = 0;
    curl_easy_getinfo(call->easy, CURLINFO_HTTP_CONNECTCODE, &answer);
    curl_easy_getinfo(call->easy, CURLINFO_CONNECT_TIME_T, &connected_us);
    if (call->proxy && answer && (answer < 200 || answer > 299)) {
        refused_connect(call, answer);
        return;
    }
    if (tls_failure(call, code, answer))
        return;
    bool retriable;
    sl_status status = status_of(code, &retriable);
    if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
        code == CURLE_COULDNT_RESOLVE_PROXY || (code == CURLE_OPERATION_TIMEDOUT && !connected_us))
        not_connected(call, code);
    else
        set(call, status, retriable, "%s%s%s",
            code == CURLE_ABORTED_BY_CALLBACK ? "the connection was closed before an answer came"
                                              : own_text(call, code),
            call->proxy ? ", through the proxy " : "", response->proxy);
}
