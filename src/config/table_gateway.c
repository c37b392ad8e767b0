/* The gateway's settings. docs/configuration.md is held against this table by a test. */
#include "config/settings.h"

#define KIB     1024LL
#define MIB     (1024 * KIB)
#define GIB     (1024 * MIB)
#define SECONDS 1000LL
#define MINUTES (60 * SECONDS)
#define HOURS   (60 * MINUTES)
#define DAYS    (24 * HOURS)

static const char *const client_certificates[] = {"none", "optional", "required", NULL};
static const char *const tls_versions[] = {"1.2", "1.3", NULL};
static const char *const log_formats[] = {"combined", "json", NULL};
static const char *const ledgers[] = {"sqlite", "kafka", NULL};
static const char *const metrics_readers[] = {"loopback", "token", "open", NULL};
static const char *const volume_ways[] = {"enforce", "warn", NULL};
static const char *const protocols[] = {"plaintext", "ssl", "sasl_plaintext", "sasl_ssl", NULL};

/* One Kafka cluster, all but its brokers. */
/* clang-format off */
#define CLUSTER(root)                                                                                        \
    {.path = root ".replication-factor",                                                                     \
     .type = SL_INTEGER,                                                                                     \
     .value = "-1",                                                                                          \
     .min = -1,                                                                                              \
     .max = 100,                                                                                             \
     .meaning = "Replicas of a new layer's topic; -1: the cluster's default."},                              \
    {.path = root ".client",                                                                                 \
     .type = SL_SECTION,                                                                                     \
     .meaning = "Settings of librdkafka for all that the gateway does with the cluster, as they are: how it "\
                "proves who it is, whom it trusts."},                                                        \
    {.path = root ".producer",                                                                               \
     .type = SL_SECTION,                                                                                     \
     .meaning = "Settings of librdkafka for the gateway's producer; they win over those of client."},        \
    {.path = root ".consumer",                                                                               \
     .type = SL_SECTION,                                                                                     \
     .meaning = "Settings of librdkafka for the gateway's consumers; they win over those of client."},       \
    {.path = root ".acls.enabled",                                                                           \
     .type = SL_BOOLEAN,                                                                                     \
     .value = "false",                                                                                       \
     .meaning = "Write grants to the cluster as access control lists, so that they hold for kafka-connector, "\
                "too; its brokers need an authorizer (docs/security.md)."},                                  \
    {.path = root ".acls.issuer",                                                                            \
     .type = SL_TEXT,                                                                                        \
     .meaning = "The outside issuer (its iss) whose tokens the brokers take: its applications are written "  \
                "there, by their subjects; without it, those with keys, by their ids."},                     \
    {.path = root ".quotas.enabled",                                                                         \
     .type = SL_BOOLEAN,                                                                                     \
     .value = "false",                                                                                       \
     .meaning = "Write the throughput of layers to the cluster as client quotas, so that it holds for "      \
                "kafka-connector, too; takes acls.enabled (docs/security.md)."},                             \
    {.path = root ".quotas.direct-share",                                                                    \
     .type = SL_INTEGER,                                                                                     \
     .value = "50",                                                                                          \
     .min = 1,                                                                                               \
     .max = 90,                                                                                              \
     .meaning = "The part of a layer's throughput, in percent, that clients of kafka-connector have "        \
                "together where there are any; those over HTTP have the rest."},                             \
    {.path = root ".quotas.window",                                                                          \
     .type = SL_DURATION_MS,                                                                                 \
     .value = "10 s",                                                                                        \
     .min = SECONDS,                                                                                         \
     .max = HOURS,                                                                                           \
     .meaning = "Over how long the brokers take a mean of what a client writes and reads: "                  \
                "quota.window.size.seconds times one less than quota.window.num, as they have them."},       \
    {.path = root ".advertised.brokers",                                                                     \
     .type = SL_SERVERS,                                                                                     \
     .meaning = "The brokers that applications are told that use kafka-connector; without it, the "         \
                "gateway's own."},                                                                           \
    {.path = root ".advertised.security-protocol",                                                           \
     .type = SL_CHOICE,                                                                                      \
     .choices = protocols,                                                                                   \
     .noun = "protocol",                                                                                     \
     .meaning = "How those brokers are spoken to; without it, as the gateway does."},                        \
    {.path = root ".advertised.sasl-mechanism",                                                              \
     .type = SL_TEXT,                                                                                        \
     .meaning = "The SASL mechanism there; without it, the gateway's own."},                                 \
    {.path = root ".advertised.ca-file",                                                                     \
     .type = SL_FILE,                                                                                        \
     .readable = true,                                                                                       \
     .meaning = "The CA certificates (PEM) to trust there; without it, the gateway's own. Applications are " \
                "given what is in it."}
/* clang-format on */

static const char *const levels[] = {"error", "warning", "info", "debug", NULL};

const struct sl_setting sl_gateway_settings[] = {
    {.path = SL_GATEWAY_ROOT "listen.address",
     .type = SL_TEXT,
     .value = "127.0.0.1",
     .environment = "STREAMLAYER_GATEWAY_ADDRESS",
     .meaning = "The address to listen on; 0.0.0.0 or :: for every one."},
    {.path = SL_GATEWAY_ROOT "listen.port",
     .type = SL_INTEGER,
     .value = "8080",
     .min = 0,
     .max = 65535,
     .environment = "STREAMLAYER_GATEWAY_PORT",
     .meaning = "The port to listen on; 0 takes a free one."},
    {.path = SL_GATEWAY_ROOT "listen.plain-off-loopback",
     .type = SL_BOOLEAN,
     .value = "false",
     .meaning = "Serve plain HTTP, without TLS, on addresses that other machines reach, too."},
    {.path = SL_GATEWAY_ROOT "listen.trusted-proxies",
     .type = SL_TEXT,
     .meaning = "Proxies and balancers before the gateway, whose Forwarded and X-Forwarded-* are believed: "
                "addresses and networks (10.0.0.0/8), separated by commas; without it, nobody's."},
    {.path = SL_GATEWAY_ROOT "listen.tls.certificate",
     .type = SL_FILE,
     .environment = "STREAMLAYER_GATEWAY_CERTIFICATE",
     .reload = true,
     .meaning =
         "The gateway's certificate (PEM), the intermediate ones below it. With it HTTPS is served, and "
         "only HTTPS."},
    {.path = SL_GATEWAY_ROOT "listen.tls.key",
     .type = SL_FILE,
     .environment = "STREAMLAYER_GATEWAY_KEY",
     .reload = true,
     .meaning = "Its private key (PEM, not encrypted, readable by nobody else); without it, the key is in "
                "listen.tls.certificate."},
    {.path = SL_GATEWAY_ROOT "listen.tls.client-ca",
     .type = SL_FILE,
     .reload = true,
     .meaning = "The CA certificates (PEM) that clients' certificates are held against."},
    {.path = SL_GATEWAY_ROOT "listen.tls.client-certificates",
     .type = SL_CHOICE,
     .value = "none",
     .choices = client_certificates,
     .noun = "word",
     .reload = true,
     .meaning =
         "Whether clients are asked for a certificate of listen.tls.client-ca's: none; optional: who shows "
         "one must show a good one; required: nobody connects without. Tokens are needed all the same."},
    {.path = SL_GATEWAY_ROOT "listen.tls.min-version",
     .type = SL_CHOICE,
     .value = "1.2",
     .choices = tls_versions,
     .noun = "version of TLS",
     .reload = true,
     .meaning = "The oldest version of TLS that is spoken."},
    {.path = SL_GATEWAY_ROOT "cors.origins",
     .type = SL_TEXT,
     .meaning =
         "Web pages that may call the gateway: their origins (https://app.example), separated by commas, or "
         "* for all; without it, none. `streamlayer up` has *."},
    {.path = SL_GATEWAY_ROOT "cors.max-age",
     .type = SL_DURATION_MS,
     .value = "1 day",
     .min = 0,
     .max = 7 * DAYS,
     .meaning = "How long a browser may keep what it was told about that."},
    {.path = SL_GATEWAY_ROOT "threads",
     .type = SL_INTEGER,
     .value = "0",
     .min = 0,
     .max = 1024,
     .meaning = "Event loops; 0: one a core."},
    {.path = SL_GATEWAY_ROOT "public-url",
     .type = SL_URL,
     .environment = "STREAMLAYER_GATEWAY_PUBLIC_URL",
     .meaning = "How clients reach the gateway, for the URLs that it hands out. Without it, the request's "
                "Host."},
    {.path = SL_GATEWAY_ROOT "extensions",
     .type = SL_BOOLEAN,
     .value = "true",
     .meaning = "Serve, and tell in lookup, what goes beyond the official API (docs/protocol.md)."},
    {.path = SL_GATEWAY_ROOT "user",
     .type = SL_TEXT,
     .meaning =
         "streamlayerd, started as root, becomes this user once its port is bound and certificate and key "
         "are read; the data directory is that user's."},
    {.path = SL_GATEWAY_ROOT "data-directory",
     .type = SL_FILE,
     .environment = "STREAMLAYER_GATEWAY_DATA_DIR",
     .meaning = "Where catalogs, applications and blobs are kept."},
    {.path = SL_GATEWAY_ROOT "sweep-interval",
     .type = SL_DURATION_MS,
     .value = "10 minutes",
     .min = SECONDS,
     .max = DAYS,
     .meaning = "How often what is left over is removed: blobs whose time or layer is over, and topics of "
                "deleted layers that Kafka did not delete when it was asked."},

    {.path = SL_GATEWAY_ROOT "kafka.brokers",
     .type = SL_SERVERS,
     .environment = "STREAMLAYER_GATEWAY_BROKERS",
     .meaning = "The Kafka cluster: host:port, separated by commas."},
    CLUSTER(SL_GATEWAY_ROOT "kafka"),
    {.path = SL_GATEWAY_ROOT "kafka.acls.check-interval",
     .type = SL_DURATION_MS,
     .value = "10 minutes",
     .min = 10 * SECONDS,
     .max = DAYS,
     .meaning = "How often the access control lists of all clusters are compared with the grants, and put "
                "right."},
    {.path = SL_GATEWAY_ROOT "kafka.clusters",
     .type = SL_NAMED,
     .meaning = "More Kafka clusters, each by a name that layers are made with; the one above is called "
                "default."},
    {.path = SL_GATEWAY_ROOT "kafka.clusters." SL_NAME ".brokers",
     .type = SL_SERVERS,
     .meaning = "That cluster: host:port, separated by commas."},
    CLUSTER(SL_GATEWAY_ROOT "kafka.clusters." SL_NAME),

    {.path = SL_GATEWAY_ROOT "ledger.type",
     .type = SL_CHOICE,
     .value = "sqlite",
     .choices = ledgers,
     .noun = "type",
     .meaning =
         "Where the Marketplace's ledger is: in the data directory, or in a topic of Kafka's, for several "
         "gateways that serve the same layers (docs/marketplace.md)."},
    {.path = SL_GATEWAY_ROOT "ledger.topic",
     .type = SL_TEXT,
     .value = "streamlayer-ledger",
     .meaning = "That topic; it is made where there is none."},
    {.path = SL_GATEWAY_ROOT "ledger.cluster",
     .type = SL_TEXT,
     .value = "default",
     .meaning = "The Kafka cluster that the topic is in, by its name."},
    {.path = SL_GATEWAY_ROOT "ledger.partitions",
     .type = SL_INTEGER,
     .value = "16",
     .min = 1,
     .max = 1000,
     .meaning = "The Kafka partitions that it is made with; they must not be changed later."},
    {.path = SL_GATEWAY_ROOT "ledger.keep-deliveries",
     .type = SL_DURATION_MS,
     .value = "0 s",
     .min = 0,
     .max = 400 * DAYS,
     .meaning =
         "How long the Marketplace's ledger keeps deliveries that have arrived, record by record, so that "
         "a count can be followed up; 0: not at all (docs/marketplace.md)."},
    {.path = SL_GATEWAY_ROOT "ledger.max-size",
     .type = SL_SIZE_BYTES,
     .value = "0",
     .min = 0,
     .max = 1024 * GIB,
     .meaning =
         "Bytes that the ledger's files may have, besides some 4 MiB of SQLite's write-ahead log; what would "
         "have to be counted beyond them is refused; 0: as many as the disk has room for, else 16 MiB at "
         "least."},
    {.path = SL_GATEWAY_ROOT "marketplace.volume",
     .type = SL_CHOICE,
     .value = "enforce",
     .choices = volume_ways,
     .noun = "way",
     .reload = true,
     .meaning = "What happens when a Marketplace subscription's volume is used up: enforce: polls and blobs "
                "are refused "
                "until the next period; warn: their answers have a Warning header (docs/marketplace.md)."},
    {.path = SL_GATEWAY_ROOT "access-log.file",
     .type = SL_TEXT,
     .value = "",
     .meaning = "Where each request is noted: a file, which a reload opens anew, or - for standard output; "
                "empty: nowhere."},
    {.path = SL_GATEWAY_ROOT "access-log.format",
     .type = SL_CHOICE,
     .value = "combined",
     .choices = log_formats,
     .noun = "format",
     .meaning = "How: as web servers do, or as JSON, with durations, routes and the ids of requests."},
    {.path = SL_GATEWAY_ROOT "metrics.access",
     .type = SL_CHOICE,
     .value = "loopback",
     .choices = metrics_readers,
     .noun = "word",
     .meaning = "Who may read /metrics: this machine, applications with the right admin (token), or anybody "
                "(open). They name catalogs and layers."},
    {.path = SL_GATEWAY_ROOT "limits.connections",
     .type = SL_INTEGER,
     .value = "10000",
     .min = 1,
     .max = 1000000,
     .reload = true,
     .meaning = "Connections at once; past it, a refusal with Retry-After."},
    {.path = SL_GATEWAY_ROOT "limits.connections-per-address",
     .type = SL_INTEGER,
     .value = "1000",
     .min = 0,
     .max = 1000000,
     .reload = true,
     .meaning = "The same of one address (IPv6: of one /64), those of listen.trusted-proxies excepted; 0: no "
                "such limit."},
    {.path = SL_GATEWAY_ROOT "limits.requests",
     .type = SL_INTEGER,
     .value = "10000",
     .min = 1,
     .max = 1000000,
     .reload = true,
     .meaning =
         "Requests under way at once, without polls and event streams that wait for messages; past it, "
         "a refusal with Retry-After."},
    {.path = SL_GATEWAY_ROOT "limits.application-requests",
     .type = SL_INTEGER,
     .value = "0",
     .max = 1000000,
     .reload = true,
     .meaning =
         "Requests a second of one application, and for tokens from one address, with bursts of two seconds' "
         "worth; past it, a refusal with Retry-After. 0: as many as come."},
    {.path = SL_GATEWAY_ROOT "limits.body",
     .type = SL_SIZE_BYTES,
     .value = "20 MiB",
     .min = KIB,
     .max = GIB,
     .reload = true,
     .meaning = "The largest body of a request."},
    {.path = SL_GATEWAY_ROOT "limits.blob",
     .type = SL_SIZE_BYTES,
     .value = "256 MiB",
     .min = MIB,
     .max = 1024 * GIB,
     .reload = true,
     .meaning = "The largest blob that may be stored."},
    {.path = SL_GATEWAY_ROOT "limits.header",
     .type = SL_SIZE_BYTES,
     .value = "32 KiB",
     .min = KIB,
     .max = MIB,
     .meaning = "The largest head of a request."},
    {.path = SL_GATEWAY_ROOT "limits.bytes-in-flight",
     .type = SL_SIZE_BYTES,
     .value = "256 MiB",
     .min = MIB,
     .max = 1024 * GIB,
     .reload = true,
     .meaning =
         "Memory at once for what is under way: bodies, answers, messages that wait for Kafka or are read "
         "ahead, publications; past it, a refusal with Retry-After."},
    {.path = SL_GATEWAY_ROOT "limits.subscriptions",
     .type = SL_INTEGER,
     .value = "1000",
     .min = 1,
     .max = 1000000,
     .reload = true,
     .meaning = "Subscriptions at once; past it, a refusal with Retry-After."},
    {.path = SL_GATEWAY_ROOT "limits.application-subscriptions",
     .type = SL_INTEGER,
     .value = "200",
     .min = 1,
     .max = 1000000,
     .reload = true,
     .meaning = "The same of one application."},
    {.path = SL_GATEWAY_ROOT "limits.group-subscriptions",
     .type = SL_INTEGER,
     .value = "128",
     .min = 1,
     .max = 1000000,
     .reload = true,
     .meaning =
         "Subscriptions at once in one consumer group, on all layers that it reads; on each layer as many "
         "as that has parallelization."},
    {.path = SL_GATEWAY_ROOT "limits.subscription-bytes",
     .type = SL_SIZE_BYTES,
     .value = "8 MiB",
     .min = 64 * KIB,
     .max = GIB,
     .reload = true,
     .meaning = "What is read ahead for a subscription at most. All of them together have half of "
                "limits.bytes-in-flight: when that becomes short, later ones get less."},
    {.path = SL_GATEWAY_ROOT "limits.idle-timeout",
     .type = SL_DURATION_MS,
     .value = "60 s",
     .min = SECONDS,
     .max = HOURS,
     .reload = true,
     .meaning = "A connection that is idle between two requests is closed after it; so is one whose client "
                "takes less of an answer than limits.body-rate over it."},
    {.path = SL_GATEWAY_ROOT "limits.header-timeout",
     .type = SL_DURATION_MS,
     .value = "10 s",
     .min = 100,
     .max = HOURS,
     .reload = true,
     .meaning = "A connection must have begun its first request by then, TLS handshake included, and a "
                "request's head must be whole; else the connection is closed."},
    {.path = SL_GATEWAY_ROOT "limits.body-rate",
     .type = SL_SIZE_BYTES,
     .value = "1 KiB",
     .min = 0,
     .max = GIB,
     .reload = true,
     .meaning = "A body that brings fewer bytes a second over any limits.header-timeout is given up, and the "
                "connection closed; 0: never. What the gateway holds up itself does not count."},
    {.path = SL_GATEWAY_ROOT "limits.subscription-idle",
     .type = SL_DURATION_MS,
     .value = "5 minutes",
     .min = SECONDS,
     .max = DAYS,
     .reload = true,
     .meaning =
         "A subscription that nobody calls ends after it; before the first call that follows its "
         "subscribe, after 30 s or limits.subscription-lost, whichever is longer, if that is less "
         "than this. An event stream whose client takes nothing of what is written for so long is broken "
         "off."},
    {.path = SL_GATEWAY_ROOT "limits.subscription-lost",
     .type = SL_DURATION_MS,
     .value = "10 s",
     .min = SECONDS,
     .max = DAYS,
     .reload = true,
     .meaning =
         "The same, once an answer to a poll found its client's connection closed: a client that is gone "
         "gives its partitions back soon, one that only lost its connection polls again in time."},
    {.path = SL_GATEWAY_ROOT "limits.poll-bytes",
     .type = SL_SIZE_BYTES,
     .value = "8 MiB",
     .min = KIB,
     .max = GIB,
     .reload = true,
     .meaning = "Payload in one poll's answer at most."},
    {.path = SL_GATEWAY_ROOT "limits.poll-wait",
     .type = SL_DURATION_MS,
     .value = "25 s",
     .min = 0,
     .max = 29 * SECONDS,
     .reload = true,
     .meaning =
         "The longest that a poll is held until messages come; below the 30 s after which the official "
         "SDKs give up."},
    {.path = SL_GATEWAY_ROOT "limits.kafka-wait",
     .type = SL_DURATION_MS,
     .value = "20 s",
     .min = SECONDS,
     .max = 25 * SECONDS,
     .meaning = "The longest that a request waits for Kafka, for all that it asks of it together; then it is "
                "refused with Retry-After. Below the 30 s after which the official SDKs give up."},
    {.path = SL_GATEWAY_ROOT "limits.batch-messages",
     .type = SL_INTEGER,
     .value = "100000",
     .min = 1,
     .max = 10000000,
     .reload = true,
     .meaning = "Messages in one request or one poll's answer at most."},
    {.path = SL_GATEWAY_ROOT "limits.throughput",
     .type = SL_BOOLEAN,
     .value = "true",
     .reload = true,
     .meaning =
         "Whether layers' dataInThroughputKbps and dataOutThroughputKbps are kept, by delaying what is "
         "over them, fairly among applications. `streamlayer up` leaves it out: there is one user. What a "
         "Marketplace subscription gives is kept all the same, below 2,000 KBps."},
    {.path = SL_GATEWAY_ROOT "limits.throttle-wait",
     .type = SL_DURATION_MS,
     .value = "20 s",
     .min = 0,
     .max = 29 * SECONDS,
     .reload = true,
     .meaning =
         "How long what is sent into a layer is delayed for its throughput; when it would be longer, a "
         "request is refused before it is read, with 429."},
    {.path = SL_GATEWAY_ROOT "limits.publications",
     .type = SL_INTEGER,
     .value = "1000",
     .min = 1,
     .max = 1000000,
     .reload = true,
     .meaning =
         "Publications begun and not submitted, at once; past it, a refusal with Retry-After. They end "
         "by themselves after an hour."},
    {.path = SL_GATEWAY_ROOT "limits.application-publications",
     .type = SL_INTEGER,
     .value = "200",
     .min = 1,
     .max = 1000000,
     .reload = true,
     .meaning = "The same of one application."},
    {.path = SL_GATEWAY_ROOT "repeats.window",
     .type = SL_DURATION_MS,
     .value = "2 minutes",
     .min = 0,
     .max = HOURS,
     .meaning = "How long a message with a trace id is remembered, so that a request sent again does not "
                "write it twice; 0: not at all."},
    {.path = SL_GATEWAY_ROOT "repeats.messages",
     .type = SL_INTEGER,
     .value = "400000",
     .min = 1,
     .max = 100000000,
     .meaning = "Messages remembered for it, the newest; 40 bytes each."},
    {.path = SL_GATEWAY_ROOT "push.heartbeat",
     .type = SL_DURATION_MS,
     .value = "15 s",
     .min = SECONDS,
     .max = HOURS,
     .reload = true,
     .meaning = "How often an idle event stream sends a comment, so that proxies keep it open."},
    {.path = SL_GATEWAY_ROOT "limits.join-timeout",
     .type = SL_DURATION_MS,
     .value = "25 s",
     .min = SECONDS,
     .max = 5 * MINUTES,
     .reload = true,
     .meaning = "How long a subscription may wait for its group to give it partitions."},

    {.path = SL_GATEWAY_ROOT "token.lifetime",
     .type = SL_DURATION_MS,
     .value = "1 h",
     .min = MINUTES,
     .max = 30 * DAYS,
     .reload = true,
     .meaning = "How long the tokens that the gateway gives are good."},
    {.path = SL_GATEWAY_ROOT "token.key-lifetime",
     .type = SL_DURATION_MS,
     .value = "90 d",
     .min = 0,
     .max = 3650 * DAYS,
     .reload = true,
     .meaning = "How long a key signs tokens before the next one does; 0: until it is changed by hand "
                "(streamlayer token rotate-key)."},
    {.path = SL_GATEWAY_ROOT "token.key-lead",
     .type = SL_DURATION_MS,
     .value = "1 h",
     .min = 0,
     .max = 30 * DAYS,
     .reload = true,
     .meaning = "How long the next key is published at /oauth2/jwks before it signs: longer than anyone who "
                "checks these tokens keeps the old list."},
    {.path = SL_GATEWAY_ROOT "token.issuer",
     .type = SL_TEXT,
     .meaning =
         "The iss of the gateway's tokens. Without it, public-url, or \"streamlayer\" where that is not "
         "set. A change ends the tokens that are out."},
    {.path = SL_GATEWAY_ROOT "token.audience",
     .type = SL_TEXT,
     .value = "streamlayer",
     .meaning = "The aud of the gateway's tokens. A change ends the tokens that are out."},
    {.path = SL_GATEWAY_ROOT "token.issuers",
     .type = SL_NAMED,
     .meaning = "Outside issuers, whose tokens are good here, too, where an application has their issuer and "
                "subject."},
    {.path = SL_GATEWAY_ROOT "token.issuers.NAME.issuer",
     .type = SL_TEXT,
     .meaning = "The iss of its tokens, exactly."},
    {.path = SL_GATEWAY_ROOT "token.issuers.NAME.audience",
     .type = SL_TEXT,
     .meaning = "What its tokens must have as aud, or among it."},
    {.path = SL_GATEWAY_ROOT "token.issuers.NAME.jwks-file",
     .type = SL_FILE,
     .readable = true,
     .meaning = "Its public keys, a JWKS; read anew when it was changed."},
    {.path = SL_GATEWAY_ROOT "token.issuers.NAME.jwks-url",
     .type = SL_URL,
     .meaning = "Where its public keys are, instead of a file: https://, or http:// on this machine."},
    {.path = SL_GATEWAY_ROOT "token.issuers.NAME.ca-file",
     .type = SL_FILE,
     .readable = true,
     .meaning = "Certificates of the authorities to trust for jwks-url, PEM. Without it, the system's."},
    {.path = SL_GATEWAY_ROOT "token.issuers.NAME.claim",
     .type = SL_TEXT,
     .value = "sub",
     .meaning = "The claim that names the application: what streamlayer app create --subject is told."},
    {.path = SL_GATEWAY_ROOT "token.jwks-refresh",
     .type = SL_DURATION_MS,
     .value = "10 minutes",
     .min = SECONDS,
     .max = DAYS,
     .reload = true,
     .meaning = "How often the keys of outside issuers are read again."},
    {.path = SL_GATEWAY_ROOT "shutdown-grace",
     .type = SL_DURATION_MS,
     .value = "30 s",
     .min = 0,
     .max = HOURS,
     .reload = true,
     .meaning = "How long a shutdown waits for requests that are under way."},
    {.path = SL_GATEWAY_ROOT "log.level",
     .type = SL_CHOICE,
     .value = "info",
     .choices = levels,
     .noun = "level",
     .environment = "STREAMLAYER_GATEWAY_LOG_LEVEL",
     .reload = true,
     .meaning = "What the gateway logs: lines of this level and more severe ones."},
};
const size_t sl_gateway_setting_count = sizeof sl_gateway_settings / sizeof *sl_gateway_settings;
