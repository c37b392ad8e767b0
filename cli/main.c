/* streamlayer: the table of commands, help, and the way to the right one. */
#include "cli.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct cli_command commands[] = {
    {"up", "", 0, 0, "run a whole platform on this machine: gateway and Apache Kafka",
     "Starts an Apache Kafka of its own (or uses the cluster that --kafka names) and the gateway in front of "
     "it,\n"
     "both on 127.0.0.1, and prints a line that begins \"ready\" when messages can flow. The data directory "
     "gets\n"
     "credentials.properties and application.conf, which applications and this command's --config read. All\n"
     "data stays in it; Kafka itself is fetched once, with Maven, into the cache (XDG_CACHE_HOME).\n"
     "Ctrl-C or SIGTERM stops both cleanly. STREAMLAYER_KAFKA_HEAP sets Kafka's heap (default 512m).",
     "  streamlayer up\n"
     "  streamlayer up --data-dir /tmp/try --port 0\n"
     "  streamlayer up --kafka broker1:9092,broker2:9092\n",
     cli_up_options, cli_up},
    {"catalog create", "ID", 1, 1, "make a catalog and print its HRN", NULL,
     "  streamlayer catalog create traffic --name \"City traffic\"\n", cli_catalog_create_options,
     cli_catalog_create},
    {"catalog list", "", 0, 0, "list the catalogs", NULL, "  streamlayer catalog list --json\n", NULL,
     cli_catalog_list},
    {"catalog show", "HRN", 1, 1, "show a catalog with its layers", NULL,
     "  streamlayer catalog show hrn:here:data::local:traffic\n", NULL, cli_catalog_show},
    {"catalog delete", "HRN", 1, 1, "delete a catalog, its layers and their messages", NULL,
     "  streamlayer catalog delete hrn:here:data::local:traffic\n", NULL, cli_catalog_delete},
    {"layer create", "HRN LAYER", 2, 2, "make a stream layer in a catalog", NULL,
     "  streamlayer layer create hrn:here:data::local:traffic cars --content-type application/json\n"
     "  streamlayer layer create HRN LAYER -t application/x-protobuf -p 8 --ttl 24h\n",
     cli_layer_create_options, cli_layer_create},
    {"layer list", "HRN", 1, 1, "list a catalog's layers", NULL,
     "  streamlayer layer list hrn:here:data::local:traffic\n", NULL, cli_layer_list},
    {"layer show", "HRN LAYER", 2, 2, "show a layer and the Kafka topic behind it", NULL,
     "  streamlayer layer show hrn:here:data::local:traffic cars --json\n", NULL, cli_layer_show},
    {"layer delete", "HRN LAYER", 2, 2, "delete a layer and its messages", NULL,
     "  streamlayer layer delete hrn:here:data::local:traffic cars\n", NULL, cli_layer_delete},
    {"produce", "HRN LAYER [FILE…]", 2, -1, "write lines or files to a layer, each a message",
     "Each line of the files, or of standard input without any (- names it too), is one message; the newline "
     "is\n"
     "not part of it, an empty line is an empty message. A message has at most 1 MiB. Returns when each "
     "message\n"
     "is delivered or has failed; when one failed, or was refused, the exit code is not 0. Ctrl-C stops "
     "reading\n"
     "and waits for what is under way.\n"
     "It stops at the first line that cannot be a message, or file that cannot be read: what is before it is "
     "sent,\n"
     "what is from there on is not, and standard error says how many messages were delivered and where it\n"
     "stopped (FILE:LINE), so that the rest can be sent later. --verbose shows the summary everywhere.",
     "  streamlayer produce hrn:here:data::local:traffic cars positions.ndjson --key car-17\n"
     "  printf 'car-17\\t{\"speed\":50}\\n' | streamlayer produce HRN LAYER --key-delimiter '\\t'\n"
     "  streamlayer produce HRN LAYER --file-per-message tiles/*.bin\n"
     "  streamlayer produce HRN LAYER -D "
     "here.platform.data-client.stream.connector.producer=http-connector\n",
     cli_produce_options, cli_produce},
    {"consume", "HRN LAYER", 2, 2, "read a layer's messages",
     "Goes on where its group ended; a new group starts at the begin. Ends when nothing more has come for a\n"
     "while (--idle), after --count messages, or with --follow not at all. What was written to standard "
     "output\n"
     "is committed, about once a second and at the end: two runs of one group together read each message, "
     "and\n"
     "after a crash the messages of the last second may come twice. Members of a group share its messages.\n"
     "Ctrl-C commits, leaves the group and exits with 130.\n"
     "\n"
     "To have a look, add --no-commit: --offset alone moves the group, also back, for all who share it.\n"
     "\n"
     "--json writes an object a line, with the fields that the message has: key, payload, dataHandle, "
     "dataSize,\n"
     "timestamp (ms since 1970), traceId, checksum, crc, headers (a list of name and value), partition, "
     "offset.\n"
     "What is not UTF-8 comes in base64, with Base64 behind the field's name: payloadBase64, valueBase64.",
     "  streamlayer consume hrn:here:data::local:traffic cars --follow\n"
     "  streamlayer consume HRN LAYER --offset begin --count 10 --no-commit --json\n"
     "  streamlayer consume HRN LAYER --offset 0:1500 --no-commit\n"
     "  streamlayer consume HRN LAYER --group my-application --key-delimiter '\\t'\n",
     cli_consume_options, cli_consume},
    {"pipe", "HRN LAYER HRN LAYER", 4, 4, "copy messages from one layer to another",
     "Reads the first layer with the consumer's connector and writes the second with the producer's; each "
     "is\n"
     "configured by itself (here.platform.data-client.stream.connector). Messages keep partition id, "
     "payload,\n"
     "timestamp, headers, trace id, checksum and CRC. A message is committed on the reading side once it and "
     "all\n"
     "before it in its partition are delivered, so nothing is lost when a pipe is stopped, crashes or "
     "fails;\n"
     "the next run may write the last ones again. Ends as consume does.",
     "  streamlayer pipe HRN raw HRN clean --follow\n"
     "  streamlayer pipe HRN A HRN B --from-connector kafka-connector --to-connector http-connector\n",
     cli_pipe_options, cli_pipe},
    {"config show", "[PATH]", 0, 1, "show the settings in force and where each comes from",
     "With PATH, only what lies below it. Secrets are masked.",
     "  streamlayer config show here.platform.data-client.stream\n", NULL, cli_config_show},
    {"config render", "FILE", 1, 1, "print a HOCON file, resolved, as JSON", NULL,
     "  streamlayer config render application.conf\n", NULL, cli_config_render},
    {"config check", "", 0, 0, "check the configuration", NULL,
     "  streamlayer --config my.conf config check\n", NULL, cli_config_check},
    {"token", "", 0, 0, "print a bearer token for the platform's HTTP API", NULL,
     "  curl -H \"Authorization: Bearer $(streamlayer token)\" "
     "http://127.0.0.1:8080/lookup/v1/platform/apis\n",
     NULL, cli_token},
    {"version", "", 0, 0, "print the version", NULL, "  streamlayer version\n", NULL, cli_version},
};
static const size_t command_count = sizeof commands / sizeof *commands;

static const char exit_codes[] = "Exit codes:\n"
                                 "    0  done\n"
                                 "    1  failed\n"
                                 "    2  a mistake on the command line or in the configuration\n"
                                 "    3  no such catalog, layer, setting or file\n"
                                 "    4  not allowed: no credentials, wrong ones, or no grant\n"
                                 "    5  the platform cannot be reached, cannot serve now, or took too long\n"
                                 "    6  the connector is not installed\n"
                                 "  130  interrupted\n"
                                 "  141  who reads standard output has gone, as head does (SIGPIPE)\n";

int cli_version(struct cli *cli)
{
    if (cli->json)
        printf("{\"streamlayer\": \"%s\"}\n", sl_version());
    else
        printf("streamlayer %s\n", sl_version());
    return cli_flush_output(cli);
}

/* group: only the commands whose first word it is ("catalog"); NULL: all. */
static int print_overview(const struct cli *cli, const char *group)
{
    size_t length = group ? strlen(group) : 0;
    printf("Usage: streamlayer [OPTION…] %s%sCOMMAND …\n\n", group ? group : "", group ? " " : "");
    if (!group)
        puts("Reads and writes stream layers through Kafka or HTTP, and runs a platform that has them.\n");
    puts("Commands:");
    for (size_t i = 0; i < command_count; i++)
        if (!group || (!strncmp(commands[i].name, group, length) && commands[i].name[length] == ' '))
            printf("  %-16s  %s\n", commands[i].name, commands[i].summary);
    if (!group)
        printf("  %-16s  %s\n", "help [COMMAND]", "this overview, or a command's help");
    puts("\nOptions, before or after the command:");
    cli_options_help(cli_global_options);
    puts("\n`streamlayer COMMAND --help` shows a command's own options, with examples.\n");
    fputs(exit_codes, stdout);
    return cli_flush_output(cli);
}

static int print_command_help(const struct cli *cli, const struct cli_command *command)
{
    printf("Usage: streamlayer %s%s%s%s\n\n", command->name, command->options ? " [OPTION…]" : "",
           *command->operands ? " " : "", command->operands);
    printf("%c%s.\n", command->summary[0] - ('a' - 'A'), command->summary + 1);
    if (command->details)
        printf("\n%s\n", command->details);
    if (command->options) {
        puts("\nOptions:");
        cli_options_help(command->options);
    }
    puts("\nOptions of every command:");
    cli_options_help(cli_global_options);
    printf("\nExamples:\n%s\n", command->examples);
    fputs(exit_codes, stdout);
    return cli_flush_output(cli);
}

static bool is_group(const char *word)
{
    size_t length = strlen(word);
    for (size_t i = 0; i < command_count; i++)
        if (!strncmp(commands[i].name, word, length) && commands[i].name[length] == ' ')
            return true;
    return false;
}

/* Finds the command that the words at argv[*next…] name, and steps over them. NULL: none. */
static const struct cli_command *find_command(int argc, char **argv, int *next)
{
    for (size_t i = 0; i < command_count; i++) {
        const char *space = strchr(commands[i].name, ' ');
        size_t length = space ? (size_t)(space - commands[i].name) : strlen(commands[i].name);
        if (strncmp(commands[i].name, argv[*next], length) != 0 || argv[*next][length])
            continue;
        if (!space) {
            *next += 1;
            return &commands[i];
        }
        if (*next + 1 < argc && !strcmp(space + 1, argv[*next + 1])) {
            *next += 2;
            return &commands[i];
        }
    }
    return NULL;
}

static void apply_globals(struct cli *cli)
{
    const char *no_color = getenv("NO_COLOR");
    cli->json = cli_flag(cli, "json");
    cli->color = isatty(STDERR_FILENO) && !cli_flag(cli, "no-color") && !(no_color && *no_color);
    cli->verbose = 0;
    for (size_t at = 0; cli_next_value(cli, "verbose", &at);)
        cli->verbose++;
}

static int unknown_command(const struct cli *cli, const char *word)
{
    for (size_t i = 0; i < command_count; i++) {
        char first[32];
        snprintf(first, sizeof first, "%.*s", (int)strcspn(commands[i].name, " "), commands[i].name);
        if (cli_similar(word, first))
            return cli_usage_error(cli, "unknown command \"%s\"; did you mean \"%s\"?", word, first);
    }
    return cli_usage_error(cli, "unknown command \"%s\"", word);
}

static int run_help(struct cli *cli, int argc, char **argv, int next)
{
    if (next >= argc || !strcmp(argv[next], "--help") || !strcmp(argv[next], "-h"))
        return print_overview(cli, NULL);
    const struct cli_command *command = find_command(argc, argv, &next);
    if (command)
        return print_command_help(cli, command);
    if (is_group(argv[next]))
        return print_overview(cli, argv[next]);
    return unknown_command(cli, argv[next]);
}

static int run_group(struct cli *cli, int argc, char **argv, int next)
{
    const char *group = argv[next];
    const char *word = next + 1 < argc ? argv[next + 1] : NULL;
    if (word && (!strcmp(word, "--help") || !strcmp(word, "-h")))
        return print_overview(cli, group);
    const char *meant = NULL;
    for (size_t i = 0; word && i < command_count && !meant; i++) {
        size_t length = strlen(group);
        if (!strncmp(commands[i].name, group, length) && commands[i].name[length] == ' ' &&
            cli_similar(word, commands[i].name + length + 1))
            meant = commands[i].name;
    }
    if (meant)
        cli_error(cli, "unknown command \"%s %s\"; did you mean \"%s\"?", group, word, meant);
    else if (word)
        cli_error(cli, "unknown command \"%s %s\"", group, word);
    else
        cli_error(cli, "%s what?", group);
    fprintf(stderr, "`streamlayer %s --help` shows its commands.\n", group);
    return CLI_USAGE;
}

static int run_command(struct cli *cli, const struct cli_command *command, int argc, char **argv, int next)
{
    cli->command = command;
    if (!cli_options_parse(cli, command, argc, argv, &next))
        return CLI_USAGE;
    apply_globals(cli);
    if (cli_flag(cli, "help"))
        return print_command_help(cli, command);
    int count = argc - next;
    if (count < command->min_operands)
        return cli_usage_error(cli, "%s needs %s", command->name, command->operands);
    if (command->max_operands >= 0 && count > command->max_operands)
        return cli_usage_error(cli, "%s does not take \"%s\"", command->name,
                               argv[next + command->max_operands]);
    cli->operands = (const char *const *)(argv + next);
    cli->operand_count = (size_t)count;
    cli_catch_signals();
    return command->run(cli);
}

static int run(struct cli *cli, int argc, char **argv)
{
    int next = 1;
    apply_globals(cli);
    if (!cli_options_parse(cli, NULL, argc, argv, &next))
        return CLI_USAGE;
    apply_globals(cli);
    if (cli_flag(cli, "help"))
        return run_help(cli, argc, argv, next);
    if (cli_flag(cli, "version"))
        return cli_version(cli);
    if (next >= argc) {
        cli_error(cli, "a command is needed");
        fputs("`streamlayer --help` shows the commands.\n", stderr);
        return CLI_USAGE;
    }
    if (!strcmp(argv[next], "help"))
        return run_help(cli, argc, argv, next + 1);
    const char *first = argv[next];
    const struct cli_command *command = find_command(argc, argv, &next);
    if (command)
        return run_command(cli, command, argc, argv, next);
    if (is_group(first))
        return run_group(cli, argc, argv, next);
    return unknown_command(cli, first);
}

int main(int argc, char **argv)
{
    struct cli cli = {0};
    int code = run(&cli, argc, argv);
    cli_release(&cli);
    if (code == CLI_READER_GONE) {
        /* The shell's own pipelines end so, silently; everything is closed and committed. */
        signal(SIGPIPE, SIG_DFL);
        raise(SIGPIPE);
    }
    return code;
}
