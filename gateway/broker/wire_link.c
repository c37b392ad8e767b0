#include "gateway/broker/wire_link.h"

#include "base/error.h"
#include "base/server.h"
#include "base/text.h"
#include "base/time.h"
#include "gateway/broker/wire_sasl.h"
#include "gateway/broker/wire_tls.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SLICE_MS     100 /* so soon a cancelled one ends */
#define QUESTION_MAX 16777216
#define HEAD_SIZE    8 /* of an answer: its size, and which question's it is */

/* --- Waiting --- */

static sl_status give_up(const struct gw_wire_link *link, const char *what, sl_error *error)
{
    bool cancelled = atomic_load(&link->broker->acls_cancelled);
    return sl_error_set_retriable(error, SL_TIMED_OUT, "%s: %s: %s", link->place, what,
                                  cancelled ? "the gateway is stopping" : "no answer in time");
}

static sl_status lost(const struct gw_wire_link *link, const char *why, sl_error *error)
{
    return sl_error_set_retriable(error, SL_UNAVAILABLE, "%s: %s", link->place, why);
}

/* Nobody waits any more. */
static bool is_over(const struct gw_wire_link *link)
{
    return !sl_remaining_ms(link->until_ms) || atomic_load(&link->broker->acls_cancelled);
}

/* Until the socket is ready for events. */
static sl_status await(struct gw_wire_link *link, short events, const char *what, sl_error *error)
{
    for (;;) {
        if (is_over(link))
            return give_up(link, what, error);
        int left = sl_remaining_ms(link->until_ms);
        struct pollfd ready = {.fd = link->fd, .events = events};
        int count = poll(&ready, 1, left < SLICE_MS ? left : SLICE_MS);
        if (count > 0)
            return SL_OK;
        if (count < 0 && errno != EINTR)
            return lost(link, sl_errno_text(errno), error);
    }
}

/* What OpenSSL, whose call returned that, waits for. */
static sl_status await_tls(struct gw_wire_link *link, int returned, const char *what, sl_error *error)
{
    int saved = errno;
    switch (SSL_get_error(link->tls, returned)) {
    case SSL_ERROR_WANT_READ:
        return await(link, POLLIN, what, error);
    case SSL_ERROR_WANT_WRITE:
        return await(link, POLLOUT, what, error);
    case SSL_ERROR_SYSCALL:
        return lost(link, saved ? sl_errno_text(saved) : "the broker closed the connection", error);
    case SSL_ERROR_ZERO_RETURN:
        return lost(link, "the broker closed the connection", error);
    default: {
        long result = SSL_get_verify_result(link->tls);
        const char *reason = gw_wire_tls_reason();
        return sl_error_set_retriable(
            error, SL_UNAVAILABLE,
            "%s: TLS: %s%s%s: look at %s.client { security.protocol, ssl.ca.location }", link->place, reason,
            result ? ": " : "", result ? X509_verify_cert_error_string(result) : "", link->broker->root);
    }
    }
}

/* --- Bytes --- */

static sl_status send_all(struct gw_wire_link *link, const char *data, size_t size, sl_error *error)
{
    sl_status status = SL_OK;
    for (size_t sent = 0; sent < size && !status;) {
        ssize_t count;
        if (link->tls) {
            size_t written = 0;
            int returned = SSL_write_ex(link->tls, data + sent, size - sent, &written);
            sent += returned > 0 ? written : 0;
            status = returned > 0 ? SL_OK : await_tls(link, returned, "a request", error);
        } else if ((count = send(link->fd, data + sent, size - sent, MSG_NOSIGNAL)) >= 0) {
            sent += (size_t)count;
        } else if (errno == EAGAIN || errno == EINTR) {
            status = await(link, POLLOUT, "a request", error);
        } else {
            status = lost(link, sl_errno_text(errno), error);
        }
    }
    return status;
}

/* Appends size bytes to the answer. */
static sl_status receive(struct gw_wire_link *link, size_t size, sl_error *error)
{
    struct sl_buffer *answer = &link->answer;
    if (!sl_buffer_reserve(answer, size))
        return sl_error_oom(error);
    sl_status status = SL_OK;
    for (size_t end = answer->size + size; answer->size < end && !status;) {
        ssize_t count;
        if (link->tls) {
            size_t got = 0;
            int returned = SSL_read_ex(link->tls, answer->data + answer->size, end - answer->size, &got);
            answer->size += returned > 0 ? got : 0;
            status = returned > 0 ? SL_OK : await_tls(link, returned, "an answer", error);
        } else if ((count = recv(link->fd, answer->data + answer->size, end - answer->size, 0)) > 0) {
            answer->size += (size_t)count;
        } else if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
            status = await(link, POLLIN, "an answer", error);
        } else {
            status = lost(link, count ? sl_errno_text(errno) : "the broker closed the connection", error);
        }
    }
    return status;
}

/* --- Questions and answers --- */

struct sl_buffer *gw_wire_ask(struct gw_wire_link *link, struct gw_wire_api api)
{
    struct sl_buffer *out = &link->question;
    sl_buffer_reset(out);
    gw_wire_put_int32(out, 0); /* the size, put in by gw_wire_send */
    gw_wire_put_int16(out, api.key);
    gw_wire_put_int16(out, api.version);
    gw_wire_put_int32(out, ++link->calls);
    gw_wire_put_text(out, link->settings.client_id);
    return out;
}

sl_status gw_wire_send(struct gw_wire_link *link, struct gw_wire_reader *reader, sl_error *error)
{
    struct sl_buffer *question = &link->question, *answer = &link->answer;
    if (question->failed)
        return sl_error_oom(error);
    size_t size = question->size - 4;
    for (size_t i = 0; i < 4; i++)
        question->data[i] = (char)(size >> 8 * (3 - i));
    sl_buffer_reset(answer);
    sl_status status = send_all(link, question->data, question->size, error);
    if (!status)
        status = receive(link, HEAD_SIZE, error);
    if (status)
        return status;
    struct gw_wire_reader head = {(unsigned char *)answer->data, (unsigned char *)answer->data + HEAD_SIZE,
                                  false};
    int32_t left = gw_wire_int32(&head), call = gw_wire_int32(&head);
    if (left > GW_WIRE_ANSWER_MAX && call == link->calls)
        return sl_error_set(error, SL_KAFKA,
                            "%s answers with %d bytes, and the gateway takes %d at most: the cluster has too "
                            "many access control lists or client quotas for %s.acls.enabled",
                            link->place, left, GW_WIRE_ANSWER_MAX, link->broker->root);
    if (left < 4 || left > GW_WIRE_ANSWER_MAX || call != link->calls)
        return sl_error_set(error, SL_KAFKA, "%s answers what no Kafka broker would: look at %s.brokers",
                            link->place, link->broker->root);
    sl_buffer_reset(answer);
    status = receive(link, (size_t)left - 4, error);
    unsigned char *body = (unsigned char *)answer->data;
    *reader = (struct gw_wire_reader){body, body + answer->size, false};
    return status;
}

/* --- Beginning --- */

static sl_status refused(const struct gw_wire_link *link, const char *why, sl_error *error)
{
    return sl_error_set(
        error, SL_KAFKA,
        "%s does not let the gateway in: %s: look at %s.client { sasl.mechanism, sasl.username, "
        "sasl.password }",
        link->place, why, link->broker->root);
}

/* One message to the broker; *said: its own. */
static sl_status exchange(struct gw_wire_link *link, const struct sl_buffer *message, const char **said,
                          size_t *size, sl_error *error)
{
    struct gw_wire_reader reader;
    const void *data;
    gw_wire_ask_authenticate(gw_wire_ask(link, gw_wire_sasl_authenticate), message);
    sl_status status = gw_wire_send(link, &reader, error);
    if (status)
        return status;
    struct gw_wire_verdict verdict = gw_wire_read_authenticate(&reader, &data, size);
    *said = data ? data : "";
    if (reader.failed)
        return refused(link, "its answer to SASL is cut short", error);
    return verdict.code ? refused(link, verdict.text ? verdict.text : "it does not say why", error) : SL_OK;
}

static sl_status show_scram(struct gw_wire_link *link, struct sl_buffer *message, sl_error *error)
{
    const struct gw_wire_settings *settings = &link->settings;
    struct gw_scram scram;
    char nonce[GW_SCRAM_NONCE + 1];
    const char *said, *wrong;
    size_t size;
    if (!sl_random_hex(nonce, GW_SCRAM_NONCE))
        return sl_error_oom(error);
    sl_status status =
        gw_scram_begin(&scram, settings->mechanism, settings->username, settings->password, nonce, message)
            ? SL_OK
            : sl_error_oom(error);
    if (!status)
        status = exchange(link, message, &said, &size, error);
    sl_buffer_reset(message);
    if (!status && (wrong = gw_scram_answer(&scram, said, size, message)))
        status = refused(link, wrong, error);
    if (!status)
        status = exchange(link, message, &said, &size, error);
    if (!status && (wrong = gw_scram_verify(&scram, said, size)))
        status = refused(link, wrong, error);
    gw_scram_end(&scram);
    return status;
}

static sl_status log_in(struct gw_wire_link *link, sl_error *error)
{
    const struct gw_wire_settings *settings = &link->settings;
    struct gw_wire_reader reader;
    struct sl_buffer text;
    if (!settings->username || !settings->password)
        return refused(link, "sasl.username and sasl.password are not both set", error);
    gw_wire_ask_handshake(gw_wire_ask(link, gw_wire_sasl_handshake), settings->mechanism);
    sl_status status = gw_wire_send(link, &reader, error);
    if (status)
        return status;
    sl_buffer_init(&text, 65536);
    struct gw_wire_verdict verdict = gw_wire_read_handshake(&reader, &text);
    if (verdict.code || reader.failed) {
        char why[200];
        snprintf(why, sizeof why, "it has no %s, but %.120s", settings->mechanism,
                 text.data ? text.data : "nothing");
        status = refused(link, why, error);
    }
    sl_buffer_reset(&text);
    if (!status && !strcmp(settings->mechanism, "PLAIN")) {
        const char *said;
        size_t size;
        status = gw_plain_message(&text, settings->username, settings->password)
                     ? exchange(link, &text, &said, &size, error)
                     : sl_error_oom(error);
    } else if (!status) {
        status = show_scram(link, &text, error);
    }
    if (text.data)
        OPENSSL_cleanse(text.data, text.capacity);
    OPENSSL_cleanse(link->question.data, link->question.size);
    sl_buffer_free(&text);
    return status;
}

static sl_status begin_tls(struct gw_wire_link *link, const char *host, sl_error *error)
{
    sl_status status = SL_OK;
    if (!link->context)
        status = gw_wire_tls_context(link->broker, &link->settings, &link->context, error);
    if (status)
        return status;
    link->tls = SSL_new(link->context);
    if (!link->tls || !SSL_set_fd(link->tls, link->fd) || !gw_wire_tls_name(link->tls, &link->settings, host))
        return sl_error_oom(error);
    for (int returned; !status && (returned = SSL_connect(link->tls)) != 1;)
        status = await_tls(link, returned, "TLS", error);
    return status;
}

static sl_status connect_to(struct gw_wire_link *link, const struct addrinfo *address, sl_error *error)
{
    int one = 1, trouble = 0;
    socklen_t size = sizeof trouble;
    link->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0)
        return lost(link, sl_errno_text(errno), error);
    setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(link->fd, address->ai_addr, address->ai_addrlen) && errno != EINPROGRESS)
        return lost(link, sl_errno_text(errno), error);
    sl_status status = await(link, POLLOUT, "a connection", error);
    if (!status && (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &trouble, &size) || trouble))
        status = lost(link, sl_errno_text(trouble ? trouble : errno), error);
    return status;
}

static void hang_up(struct gw_wire_link *link)
{
    SSL_free(link->tls);
    link->tls = NULL;
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
}

static sl_status try_address(struct gw_wire_link *link, const struct addrinfo *address, const char *host,
                             sl_error *error)
{
    sl_status status = connect_to(link, address, error);
    if (!status && link->settings.tls)
        status = begin_tls(link, host, error);
    return !status && link->settings.sasl ? log_in(link, error) : status;
}

static bool may_go_elsewhere(sl_status status)
{
    return status == SL_UNAVAILABLE || status == SL_TIMED_OUT;
}

/* The first of its addresses that answers; as with brokers, one that is silent leaves the others their part
 * of the time. */
static sl_status try_broker(struct gw_wire_link *link, sl_error *error)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *addresses = NULL;
    struct sl_server server;
    char host[SL_HOST_MAX + 1], port[16];
    if (!sl_server_read(link->place, strlen(link->place), &server))
        return lost(link, "is no HOST:PORT", error);
    snprintf(host, sizeof host, "%.*s", (int)server.host_size, server.host);
    snprintf(port, sizeof port, "%d", server.port ? server.port : 9092);
    /* Nothing ends the look-up early: it does not begin where nobody waits for it. */
    if (is_over(link))
        return give_up(link, "a connection", error);
    int code = getaddrinfo(host, port, &hints, &addresses);
    if (code)
        return lost(link, gai_strerror(code), error);
    sl_status status = SL_UNAVAILABLE;
    int64_t until_ms = link->until_ms;
    int left = 0;
    for (const struct addrinfo *address = addresses; address; address = address->ai_next)
        left++;
    for (const struct addrinfo *address = addresses; address && may_go_elsewhere(status);
         address = address->ai_next) {
        hang_up(link);
        link->until_ms = sl_deadline_ms(sl_remaining_ms(until_ms) / left--);
        status = try_address(link, address, host, error);
    }
    freeaddrinfo(addresses);
    return status;
}

/* The first of them that answers; one that is silent leaves the others their part of the time. */
static sl_status try_brokers(struct gw_wire_link *link, const char *brokers, sl_error *error)
{
    sl_status status = SL_UNAVAILABLE;
    int64_t until_ms = link->until_ms;
    for (const char *at = brokers; status && *at;) {
        size_t size = strcspn(at, ",");
        int left = 1;
        for (const char *other = at; *other; other++)
            left += *other == ',';
        snprintf(link->place, sizeof link->place, "%.*s", (int)(size < 280 ? size : 280), at);
        at += size + (at[size] == ',');
        hang_up(link);
        link->until_ms = sl_deadline_ms(sl_remaining_ms(until_ms) / left);
        status = try_broker(link, error);
        if (status == SL_BAD_CONFIG || status == SL_OUT_OF_MEMORY)
            break;
    }
    link->until_ms = until_ms;
    return status;
}

sl_status gw_wire_open(struct gw_wire_link *link, struct gw_broker *broker, const char *brokers,
                       int64_t until_ms, sl_error *error)
{
    *link = (struct gw_wire_link){.broker = broker, .until_ms = until_ms, .fd = -1};
    sl_buffer_init(&link->question, QUESTION_MAX);
    sl_buffer_init(&link->answer, GW_WIRE_ANSWER_MAX);
    sl_status status = gw_wire_settings_read(broker, &link->settings, error);
    return status ? status : try_brokers(link, brokers, error);
}

void gw_wire_close(struct gw_wire_link *link)
{
    hang_up(link);
    SSL_CTX_free(link->context);
    sl_buffer_free(&link->question);
    sl_buffer_free(&link->answer);
    gw_wire_settings_free(&link->settings);
}
