/* A real Apache Kafka for one machine: got with Maven, one KRaft node, watched, gone when we are. */
#ifndef CLI_KAFKA_H
#define CLI_KAFKA_H

#include "cli.h"

#include <limits.h>
#include <sys/types.h>

#define CLI_KAFKA_VERSION "4.1.1"

/* What a secured Kafka has to know to check the gateway's tokens. */
struct cli_kafka_tokens {
    const char *jwks_url, *issuer, *audience;
    const char *ca_file; /* for an https URL (PEM); NULL: those that Java trusts */
};

struct cli_kafka {
    const struct cli *cli;
    char directory[PATH_MAX]; /* the platform's data directory */
    char jars[PATH_MAX];
    char java[PATH_MAX];
    char log[PATH_MAX];
    bool secure;
    const struct cli_kafka_tokens *tokens; /* where it is secure */
    int port, controller_port;             /* port: for applications */
    int internal_port;                     /* where it is secure, for the gateway */
    pid_t pid;                             /* 0: not running */
    int failures;
    int64_t started_ms, restart_ms;
};

/* Fetches it, saying so on standard output, and chooses its ports; secure: kafka_secure.h. CLI_OK or an exit
 * code. */
int cli_kafka_prepare(struct cli_kafka *kafka, const struct cli *cli, const char *directory, bool secure);
/* Formats and starts it, and waits until it takes connections. tokens: borrowed as long as it runs; NULL
 * where it is not secure. CLI_OK or an exit code, with nothing left running. */
int cli_kafka_start(struct cli_kafka *kafka, const struct cli_kafka_tokens *tokens);
/* To be called now and then: when it has died, says so and starts it again, later each time. */
void cli_kafka_watch(struct cli_kafka *kafka);
void cli_kafka_stop(struct cli_kafka *kafka);

/* Whether a broker of a list (host:port,…) takes connections; if none does, why says what keeps each. */
bool cli_brokers_reachable(const char *brokers, char *why, size_t size);

/* A socket bound to a port of 127.0.0.1 (0: any free one), and the port. -1 with errno: taken. */
int cli_bind_port(int *port);

#endif
