#include "kafka.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/text.h"
#include "kafka_files.h"
#include "kafka_secure.h"
#include "process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_MS          100
#define START_LIMIT_MS   120000 /* a cold machine may need long to load a JVM */
#define STOP_GRACE_MS    30000
#define STABLE_MS        60000 /* after it a crash counts as the first one again */
#define CONNECT_MS       3000
#define TELL_MS          5000
#define OLDEST_JAVA      17
#define OLDEST_JAVA_TEXT "17"
#define LOG_LIMIT        ((off_t)16 * 1024 * 1024)
#define PORTS_MAX        3

static void tell(const struct cli_kafka *kafka, const char *format, ...) SL_PRINTF(2, 3);
static void tell(const struct cli_kafka *kafka, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (!kafka->cli->json)
        vprintf(format, arguments);
    va_end(arguments);
    fflush(stdout);
}

static int fail_errno(const struct cli_kafka *kafka, const char *path)
{
    return cli_error_as(kafka->cli, SL_IO, "%s: %s", path, sl_errno_text(errno));
}

static bool join(char *out, size_t size, const char *directory, const char *name)
{
    return (size_t)snprintf(out, size, "%s/%s", directory, name) < size;
}

static int too_long(const struct cli_kafka *kafka)
{
    return cli_error_as(kafka->cli, SL_INVALID_ARGUMENT, "%s: the path is too long", kafka->directory);
}

/* Where fetched Kafkas are kept, for every data directory. */
static bool cache_directory(char *out, size_t size)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && *cache)
        return join(out, size, cache, "streamlayer");
    return home && *home && join(out, size, home, ".cache/streamlayer");
}

/* How the system at hand installs what is missing. */
static const char *install_command(bool java)
{
    static const struct {
        const char *id, *java, *maven;
    } systems[] = {
        {"debian", "apt-get install default-jre-headless", "apt-get install maven"},
        {"ubuntu", "apt-get install default-jre-headless", "apt-get install maven"},
        {"fedora", "dnf install java-latest-openjdk-headless", "dnf install maven"},
        {"rhel", "dnf install java-21-openjdk-headless", "dnf install maven"},
        {"suse", "zypper install java-21-openjdk-headless", "zypper install maven"},
        {"arch", "pacman -S jre-openjdk-headless", "pacman -S maven"},
        {"alpine", "apk add openjdk21-jre-headless", "apk add maven"},
    };
    char line[256];
    FILE *file = fopen("/etc/os-release", "re");
    const char *found = NULL;
    while (file && !found && fgets(line, sizeof line, file))
        for (size_t i = 0; !strncmp(line, "ID", 2) && !found && i < sizeof systems / sizeof *systems; i++)
            if (strstr(line, systems[i].id))
                found = java ? systems[i].java : systems[i].maven;
    if (file)
        fclose(file);
    return found ? found : systems[0].java;
}

static int fail_java(const struct cli_kafka *kafka, const char *what)
{
    cli_error(kafka->cli,
              "Apache Kafka needs Java " OLDEST_JAVA_TEXT
              " or later, and %s: as root, type: %s; a Java elsewhere "
              "is found by JAVA_HOME; or name a running cluster with --kafka",
              what, install_command(true));
    return CLI_FAILED;
}

/* The major version that `java -version` tells ("17.0.9", and long ago "1.8.0"); 0: it does not say. */
static int java_version(const struct cli_kafka *kafka)
{
    char output[PATH_MAX + 16], text[2000];
    snprintf(output, sizeof output, "%s/java.version", kafka->directory);
    unlink(output);
    const char *arguments[] = {kafka->java, "-version", NULL};
    pid_t pid = cli_process_start(arguments, output);
    if (pid < 0 || cli_process_wait(pid))
        return 0;
    cli_file_tail(output, text, sizeof text);
    unlink(output);
    const char *version = strstr(text, "version \"");
    if (!version)
        return 0;
    version += strlen("version \"");
    return (int)strtol(strncmp(version, "1.", 2) ? version : version + 2, NULL, 10);
}

static int find_java(struct cli_kafka *kafka)
{
    if (!cli_find_program("java", getenv("JAVA_HOME"), kafka->java, sizeof kafka->java))
        return fail_java(kafka, "there is no java here");
    int version = java_version(kafka);
    if (cli_interrupted())
        return CLI_INTERRUPTED;
    if (!version || version >= OLDEST_JAVA)
        return CLI_OK; /* what does not say is tried */
    char what[PATH_MAX + 32];
    snprintf(what, sizeof what, "%s is Java %d", kafka->java, version);
    return fail_java(kafka, what);
}

/* Maven is silent for as long as the network takes: how far it is, its log says. */
static int wait_for_maven(const struct cli_kafka *kafka, pid_t pid, const char *log, long from)
{
    int status;
    int64_t started_ms = cli_mono_ms(), told_ms = started_ms;
    while (!cli_process_ended(pid, &status)) {
        if (cli_interrupted()) {
            cli_process_stop(pid, 2000);
            return -1;
        }
        cli_sleep_ms(POLL_MS);
        if (cli_mono_ms() - told_ms < TELL_MS)
            continue;
        told_ms = cli_mono_ms();
        int files = 0;
        char line[1000];
        FILE *file = fopen(log, "re");
        if (file && !fseek(file, from, SEEK_SET))
            while (fgets(line, sizeof line, file))
                files += strstr(line, "Downloaded from") != NULL;
        if (file)
            fclose(file);
        tell(kafka, "  still fetching: %d %s after %lld s (log: %s)\n", files,
             sl_plural((uint64_t)files, "file", "files"), (long long)(told_ms - started_ms) / 1000, log);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Has Maven copy Kafka's jars into a directory of its own, which becomes the cache's when it is whole. */
static int fetch_into(const struct cli_kafka *kafka, const char *mvn, const char *temporary)
{
    char pom[PATH_MAX + 16], output[PATH_MAX + 32], log[PATH_MAX + 16], repository[PATH_MAX + 32];
    snprintf(pom, sizeof pom, "%s/pom.xml", temporary);
    snprintf(output, sizeof output, "-DoutputDirectory=%s/jars", temporary);
    snprintf(log, sizeof log, "%s/maven.log", kafka->directory);
    if (!cli_write_file(pom, CLI_KAFKA_POM, 0644))
        return fail_errno(kafka, pom);
    /* Maven keeps its own downloads in the home directory, where that can be written. */
    const char *home = getenv("HOME");
    bool writable = home && *home && !access(home, W_OK);
    snprintf(repository, sizeof repository, "-Dmaven.repo.local=%.*s/maven",
             (int)(strrchr(temporary, '/') - temporary), temporary);
    const char *arguments[] = {mvn,
                               "-B",
                               "-f",
                               pom,
                               "dependency:copy-dependencies",
                               "-DincludeScope=runtime",
                               output,
                               writable ? NULL : repository,
                               NULL};
    struct stat before;
    long from = stat(log, &before) ? 0 : (long)before.st_size;
    pid_t pid = cli_process_start(arguments, log);
    if (pid < 0)
        return fail_errno(kafka, mvn);
    int code = wait_for_maven(kafka, pid, log, from);
    if (cli_interrupted())
        return CLI_INTERRUPTED;
    if (code == 0)
        return CLI_OK;
    char tail[2000];
    cli_file_tail(log, tail, sizeof tail);
    return cli_error_as(kafka->cli, SL_UNAVAILABLE,
                        "Maven could not fetch Apache Kafka " CLI_KAFKA_VERSION " (the whole story: %s):\n%s",
                        log, tail);
}

static int fetch(struct cli_kafka *kafka)
{
    char cache[PATH_MAX - 64], mvn[PATH_MAX], temporary[PATH_MAX], jars[PATH_MAX + 8];
    if (!cache_directory(cache, sizeof cache))
        return cli_error_as(kafka->cli, SL_BAD_CONFIG,
                            "no place to keep Apache Kafka in: set HOME or XDG_CACHE_HOME");
    snprintf(kafka->jars, sizeof kafka->jars, "%s/kafka-" CLI_KAFKA_VERSION, cache);
    if (!access(kafka->jars, F_OK))
        return CLI_OK;
    if (!cli_find_program("mvn", NULL, mvn, sizeof mvn)) {
        cli_error(
            kafka->cli,
            "Apache Kafka is fetched with Maven, this once, and there is no mvn here: as root, type: %s; or "
            "name a running cluster with --kafka",
            install_command(false));
        return CLI_FAILED;
    }
    tell(kafka, "fetching Apache Kafka " CLI_KAFKA_VERSION " with Maven into %s (this once, about 45 MB)\n",
         kafka->jars);
    snprintf(temporary, sizeof temporary, "%s/kafka-XXXXXX", cache);
    if (!cli_make_directories(cache, 0755) || !mkdtemp(temporary)) {
        return cli_error_as(
            kafka->cli, SL_IO,
            "Apache Kafka is kept in %s, which cannot be written (%s): set XDG_CACHE_HOME to a "
            "directory that can",
            cache, sl_errno_text(errno));
    }
    snprintf(jars, sizeof jars, "%s/jars", temporary);
    int code = fetch_into(kafka, mvn, temporary);
    /* Another one may have been quicker: then its jars are as good. */
    if (!code && (chmod(jars, 0755) || rename(jars, kafka->jars)) && access(kafka->jars, F_OK))
        code = fail_errno(kafka, kafka->jars);
    cli_remove_directory(jars);
    cli_remove_directory(temporary);
    return code;
}

int cli_bind_port(int *port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    int on = 1;
    /* As Java does: connections of a Kafka before may linger. */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) ||
        getsockname(fd, (struct sockaddr *)&address, &size)) {
        int failure = errno;
        close(fd);
        errno = failure;
        return -1;
    }
    *port = ntohs(address.sin_port);
    return fd;
}

/* Binds all of them at once, so that they are different ones (0: any free one), and lets them go. */
static bool try_ports(int *const *ports, size_t count)
{
    int fds[PORTS_MAX];
    size_t bound = 0;
    while (bound < count && (fds[bound] = cli_bind_port(ports[bound])) >= 0)
        bound++;
    int failure = errno;
    for (size_t i = 0; i < bound; i++)
        close(fds[i]);
    errno = failure;
    return bound == count;
}

/* The ports of last time where they are free, else new ones; kept in the data directory. */
static int choose_ports(struct cli_kafka *kafka)
{
    int *const ports[PORTS_MAX] = {&kafka->port, &kafka->controller_port, &kafka->internal_port};
    size_t count = kafka->secure ? PORTS_MAX : PORTS_MAX - 1;
    char path[PATH_MAX + 16], text[64], *rest = text;
    snprintf(path, sizeof path, "%s/kafka.ports", kafka->directory);
    cli_file_tail(path, text, sizeof text);
    text[strcspn(text, "\n")] = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t port;
        const char *word = strsep(&rest, " ");
        *ports[i] = word && sl_parse_int(word, 1, UINT16_MAX, &port) ? (int)port : 0;
    }
    if (!try_ports(ports, count)) {
        for (size_t i = 0; i < count; i++)
            *ports[i] = 0;
        if (!try_ports(ports, count))
            return fail_errno(kafka, "a port on 127.0.0.1");
    }
    snprintf(text, sizeof text, kafka->secure ? "%d %d %d\n" : "%d %d\n", kafka->port, kafka->controller_port,
             kafka->internal_port);
    return cli_write_file(path, text, 0644) ? CLI_OK : fail_errno(kafka, path);
}

static int write_properties(const struct cli_kafka *kafka, const char *path)
{
    struct sl_buffer text;
    sl_buffer_init(&text, (size_t)1 << 20);
    sl_buffer_printf(&text,
                     "# Written by `streamlayer up` at every start.\n"
                     "process.roles=broker,controller\n"
                     "node.id=1\n"
                     "controller.quorum.voters=1@127.0.0.1:%d\n"
                     "log.dirs=%s/kafka\n"
                     "auto.create.topics.enable=false\n"
                     "default.replication.factor=1\n"
                     "min.insync.replicas=1\n"
                     "group.initial.rebalance.delay.ms=0\n"
                     "offsets.topic.num.partitions=4\n"
                     "offsets.topic.replication.factor=1\n"
                     "transaction.state.log.num.partitions=4\n"
                     "transaction.state.log.replication.factor=1\n"
                     "transaction.state.log.min.isr=1\n"
                     "share.coordinator.state.topic.num.partitions=4\n"
                     "share.coordinator.state.topic.replication.factor=1\n"
                     "share.coordinator.state.topic.min.isr=1\n"
                     /* The default takes 128 MB of the heap. */
                     "log.cleaner.dedupe.buffer.size=33554432\n",
                     kafka->controller_port, kafka->directory);
    if (kafka->secure)
        cli_kafka_secure_properties(kafka, &text);
    else
        sl_buffer_printf(&text,
                         "controller.listener.names=CONTROLLER\n"
                         "listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d\n"
                         "advertised.listeners=PLAINTEXT://127.0.0.1:%d\n",
                         kafka->port, kafka->controller_port, kafka->port);
    errno = ENOMEM;
    bool written = !text.failed && cli_write_file(path, text.data, 0644);
    int code = written ? CLI_OK : fail_errno(kafka, path);
    sl_buffer_free(&text);
    return code;
}

/* What the log says at its end, with a hint where the cause is a common one. */
static int fail_with_log(const struct cli_kafka *kafka, const char *what)
{
    char tail[2000];
    cli_file_tail(kafka->log, tail, sizeof tail);
    bool old = strstr(tail, "UnsupportedClassVersionError") != NULL;
    cli_error(kafka->cli, "%s%s (the whole story: %s):\n%s", what,
              old ? ": Java " OLDEST_JAVA_TEXT " or later is needed" : "", kafka->log, tail);
    return CLI_FAILED;
}

static bool is_formatted(const struct cli_kafka *kafka)
{
    char made[PATH_MAX + 32];
    snprintf(made, sizeof made, "%s/kafka/meta.properties", kafka->directory);
    return !access(made, F_OK);
}

/* Gives the data directory its cluster id, once. */
static int format_storage(const struct cli_kafka *kafka, const char *properties)
{
    char class_path[PATH_MAX + 8];
    if (is_formatted(kafka))
        return CLI_OK;
    unsigned char random[16], id[25];
    if (RAND_bytes(random, sizeof random) != 1)
        return fail_errno(kafka, "random numbers");
    /* A UUID in base64 for URLs, without padding; one that begins with a dash would look like an option. */
    random[0] &= 0x7f;
    EVP_EncodeBlock(id, random, sizeof random);
    id[22] = 0;
    for (unsigned char *c = id; *c; c++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    snprintf(class_path, sizeof class_path, "%s/*", kafka->jars);
    const char *arguments[] = {kafka->java, "-Xmx128m", "-XX:TieredStopAtLevel=1",
                               "-cp",       class_path, "kafka.tools.StorageTool",
                               "format",    "-t",       (char *)id,
                               "-c",        properties, "--ignore-formatted",
                               NULL};
    pid_t pid = cli_process_start(arguments, kafka->log);
    if (pid < 0)
        return fail_errno(kafka, kafka->java);
    int code = cli_process_wait(pid);
    if (cli_interrupted())
        return CLI_INTERRUPTED;
    return code ? fail_with_log(kafka, "Kafka could not format its storage") : CLI_OK;
}

static int launch(struct cli_kafka *kafka)
{
    char class_path[PATH_MAX + 8], properties[PATH_MAX + 32], logging[PATH_MAX + 64], heap[64];
    char allowed[512]; /* the only URL that Kafka may ask for keys */
    const char *size = getenv("STREAMLAYER_KAFKA_HEAP");
    size = size && *size ? size : "512m";
    snprintf(heap, sizeof heap, "-Xmx%.32s", size);
    snprintf(class_path, sizeof class_path, "%s/*", kafka->jars);
    snprintf(properties, sizeof properties, "%s/kafka.properties", kafka->directory);
    snprintf(logging, sizeof logging, "-Dlog4j2.configurationFile=%s/kafka.log4j2.properties",
             kafka->directory);
    const char *arguments[11] = {kafka->java, heap,       "-XX:+ExitOnOutOfMemoryError",
                                 "-cp",       class_path, "-Djava.awt.headless=true",
                                 logging};
    size_t count = 7;
    if (kafka->tokens) {
        snprintf(allowed, sizeof allowed, "-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=%s",
                 kafka->tokens->jwks_url);
        arguments[count++] = allowed;
    }
    arguments[count++] = "kafka.Kafka";
    arguments[count] = properties;
    pid_t pid = cli_process_start(arguments, kafka->log);
    if (pid < 0)
        return fail_errno(kafka, kafka->java);
    kafka->pid = pid;
    kafka->started_ms = cli_mono_ms();
    return CLI_OK;
}

static bool accepts_connections(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bool connected = fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof address);
    if (fd >= 0)
        close(fd);
    return connected;
}

static int wait_until_up(struct cli_kafka *kafka)
{
    int status;
    while (!accepts_connections(kafka->port)) {
        if (cli_interrupted())
            return CLI_INTERRUPTED;
        if (cli_process_ended(kafka->pid, &status)) {
            kafka->pid = 0;
            char how[64], what[128];
            cli_process_describe(status, how, sizeof how);
            snprintf(what, sizeof what, "Kafka ended as it started, with %s", how);
            return fail_with_log(kafka, what);
        }
        if (cli_mono_ms() - kafka->started_ms > START_LIMIT_MS)
            return fail_with_log(kafka, "Kafka does not take connections");
        cli_sleep_ms(POLL_MS);
    }
    return CLI_OK;
}

static int prepare_files(struct cli_kafka *kafka)
{
    char path[PATH_MAX + 32], old[PATH_MAX + 8];
    struct stat log;
    snprintf(old, sizeof old, "%s.1", kafka->log);
    if (!stat(kafka->log, &log) && log.st_size > LOG_LIMIT)
        rename(kafka->log, old);
    snprintf(path, sizeof path, "%s/kafka.log4j2.properties", kafka->directory);
    if (!cli_write_file(path, CLI_KAFKA_LOGGING, 0644))
        return fail_errno(kafka, path);
    int code = choose_ports(kafka);
    return code || !kafka->secure ? code : cli_kafka_make_certificates(kafka);
}

/* A Kafka whose `up` was killed, and that was not killed with it (as where java is a script that starts
 * another process), still has this directory: whoever may use it, and holds its lock, ends that one. */
static int end_orphan(const struct cli_kafka *kafka)
{
    char properties[PATH_MAX + 32];
    snprintf(properties, sizeof properties, "%s/kafka.properties", kafka->directory);
    const char *const words[] = {"kafka.Kafka", properties, NULL};
    pid_t pid;
    while ((pid = cli_process_find(words)) > 0) {
        cli_warning(kafka->cli,
                    "a Kafka of this directory still runs, left by a killed `streamlayer up` (process %ld): "
                    "it is ended",
                    (long)pid);
        if (!cli_process_end(pid, words, STOP_GRACE_MS)) {
            cli_error(kafka->cli, "process %ld, a Kafka that has %s, does not end: %s", (long)pid,
                      kafka->directory, sl_errno_text(errno));
            return CLI_FAILED;
        }
        if (cli_interrupted())
            return CLI_INTERRUPTED;
    }
    return CLI_OK;
}

/* Nobody finds his data open because he forgot a word; to close what was open does no harm. */
static int check_mode(const struct cli_kafka *kafka)
{
    bool secured = cli_kafka_is_secured(kafka->directory);
    if (secured && !kafka->secure)
        return cli_error_as(kafka->cli, SL_CONFLICT,
                            "the Kafka in %s is a secured one: give --secure, or another --data-dir",
                            kafka->directory);
    if (!secured && kafka->secure && is_formatted(kafka))
        tell(kafka, "the Kafka in %s was an open one; from now on it is secured\n", kafka->directory);
    return CLI_OK;
}

int cli_kafka_prepare(struct cli_kafka *kafka, const struct cli *cli, const char *directory, bool secure)
{
    *kafka = (struct cli_kafka){.cli = cli, .secure = secure};
    if ((size_t)snprintf(kafka->directory, sizeof kafka->directory, "%s", directory) >=
            sizeof kafka->directory - 64 ||
        !join(kafka->log, sizeof kafka->log, directory, "kafka.log"))
        return too_long(kafka);
    if (strpbrk(directory, ",\\"))
        return cli_usage_error(cli, "--data-dir %s: Kafka cannot use a path with a comma or a backslash",
                               directory);
    int code = check_mode(kafka);
    if (!code)
        code = find_java(kafka);
    if (!code)
        code = fetch(kafka);
    if (!code)
        code = end_orphan(kafka);
    return code ? code : prepare_files(kafka);
}

int cli_kafka_start(struct cli_kafka *kafka, const struct cli_kafka_tokens *tokens)
{
    char properties[PATH_MAX + 32];
    kafka->tokens = tokens;
    snprintf(properties, sizeof properties, "%s/kafka.properties", kafka->directory);
    int code = write_properties(kafka, properties);
    if (!code)
        code = format_storage(kafka, properties);
    if (!code) {
        tell(kafka, "starting Apache Kafka " CLI_KAFKA_VERSION " on 127.0.0.1:%d (log: %s)\n", kafka->port,
             kafka->log);
        code = launch(kafka);
    }
    if (!code)
        code = wait_until_up(kafka);
    if (!code && kafka->secure)
        code = cli_kafka_grant_gateway(kafka);
    if (code)
        cli_kafka_stop(kafka);
    return code;
}

void cli_kafka_watch(struct cli_kafka *kafka)
{
    int status;
    int64_t now_ms = cli_mono_ms();
    if (kafka->pid && cli_process_ended(kafka->pid, &status)) {
        char how[64];
        cli_process_describe(status, how, sizeof how);
        kafka->failures = now_ms - kafka->started_ms > STABLE_MS ? 1 : kafka->failures + 1;
        int wait_s = kafka->failures > 5 ? 30 : 1 << (kafka->failures - 1);
        cli_warning(kafka->cli, "Kafka ended with %s; it is started again in %d s (log: %s)", how, wait_s,
                    kafka->log);
        kafka->pid = 0;
        kafka->restart_ms = now_ms + wait_s * 1000L;
    }
    if (!kafka->pid && now_ms >= kafka->restart_ms && launch(kafka))
        kafka->restart_ms = now_ms + 30000;
}

void cli_kafka_stop(struct cli_kafka *kafka)
{
    if (kafka->pid)
        cli_process_stop(kafka->pid, STOP_GRACE_MS);
    kafka->pid = 0;
}

/* Connects within timeout_ms; 0, or the errno. */
static int try_address(const struct addrinfo *address, int timeout_ms)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int failure = 0;
    socklen_t size = sizeof failure;
    if (fd < 0)
        return errno;
    if (connect(fd, address->ai_addr, address->ai_addrlen)) {
        failure = errno;
        struct pollfd waiting = {.fd = fd, .events = POLLOUT};
        if (failure == EINPROGRESS && poll(&waiting, 1, timeout_ms) <= 0)
            failure = ETIMEDOUT;
        else if (failure == EINPROGRESS && getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size))
            failure = errno;
    }
    close(fd);
    return failure;
}

/* What keeps host:port from being reached, or NULL. */
static const char *try_broker(char *broker)
{
    char *colon = strrchr(broker, ':'), *host = broker;
    if (!colon || colon == broker || !colon[1])
        return "it is not of the form host:port";
    *colon = 0;
    if (*host == '[' && colon[-1] == ']') {
        colon[-1] = 0;
        host++;
    }
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int failure = getaddrinfo(host, colon + 1, &wanted, &found);
    if (failure)
        return gai_strerror(failure);
    failure = ENOENT;
    for (struct addrinfo *each = found; each && failure; each = each->ai_next)
        failure = try_address(each, CONNECT_MS);
    freeaddrinfo(found);
    return failure ? sl_errno_text(failure) : NULL;
}

bool cli_brokers_reachable(const char *brokers, char *why, size_t size)
{
    size_t length = 0;
    why[0] = 0;
    for (const char *at = brokers; *at;) {
        char broker[300];
        size_t end = strcspn(at, ",");
        snprintf(broker, sizeof broker, "%.*s", (int)end, at);
        const char *problem = try_broker(broker);
        if (!problem)
            return true;
        if (length < size)
            length += (size_t)snprintf(why + length, size - length, "%s%.*s: %s", length ? "; " : "",
                                       (int)end, at, problem);
        at += end + (at[end] == ',');
    }
    return false;
}
