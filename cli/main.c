/* streamlayer: the list of commands, and the way to the right one. */
#include "base/secret.h"
#include "cli.h"
#include "completion.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int version(struct cli *cli)
{
    if (cli->json)
        printf("{\"streamlayer\": \"%s\"}\n", sl_version());
    else
        printf("streamlayer %s\n", sl_version());
    return cli_flush_output(cli);
}

const struct cli_command cli_version_command = {
    .name = "version",
    .operands = "",
    .min_operands = 0,
    .max_operands = 0,
    .summary = "print the version",
    .examples = "  streamlayer version\n",
    .run = version,
};

/* In the order of the overview. */
const struct cli_command *const cli_commands[] = {
    &cli_up_command,
    &cli_catalog_create_command,
    &cli_catalog_list_command,
    &cli_catalog_show_command,
    &cli_catalog_delete_command,
    &cli_layer_create_command,
    &cli_layer_update_command,
    &cli_layer_list_command,
    &cli_layer_show_command,
    &cli_layer_delete_command,
    &cli_group_list_command,
    &cli_group_describe_command,
    &cli_group_reset_command,
    &cli_app_create_command,
    &cli_app_list_command,
    &cli_app_show_command,
    &cli_app_delete_command,
    &cli_app_rotate_command,
    &cli_acl_command,
    &cli_grant_command,
    &cli_revoke_command,
    &cli_marketplace_subscribe_command,
    &cli_marketplace_list_command,
    &cli_marketplace_unsubscribe_command,
    &cli_usage_command,
    &cli_produce_command,
    &cli_consume_command,
    &cli_pipe_command,
    &cli_flink_ddl_command,
    &cli_flink_init_command,
    &cli_blob_put_command,
    &cli_blob_get_command,
    &cli_blob_size_command,
    &cli_config_show_command,
    &cli_config_render_command,
    &cli_config_check_command,
    &cli_config_reference_command,
    &cli_context_list_command,
    &cli_context_show_command,
    &cli_context_use_command,
    &cli_context_add_command,
    &cli_context_remove_command,
    &cli_status_command,
    &cli_token_command,
    &cli_completion_command,
    &cli_man_command,
    &cli_version_command,
    NULL,
};

static bool is_group(const char *word)
{
    size_t length = strlen(word);
    for (size_t i = 0; cli_commands[i]; i++)
        if (!strncmp(cli_commands[i]->name, word, length) && cli_commands[i]->name[length] == ' ')
            return true;
    return false;
}

/* Finds the command that the words at argv[*next…] name, and steps over them. NULL: none. */
static const struct cli_command *find_command(int argc, char **argv, int *next)
{
    for (size_t i = 0; cli_commands[i]; i++) {
        const char *space = strchr(cli_commands[i]->name, ' ');
        size_t length = space ? (size_t)(space - cli_commands[i]->name) : strlen(cli_commands[i]->name);
        if (strncmp(cli_commands[i]->name, argv[*next], length) != 0 || argv[*next][length])
            continue;
        if (!space) {
            *next += 1;
            return cli_commands[i];
        }
        if (*next + 1 < argc && !strcmp(space + 1, argv[*next + 1])) {
            *next += 2;
            return cli_commands[i];
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
    for (size_t i = 0; cli_commands[i]; i++) {
        char first[32];
        snprintf(first, sizeof first, "%.*s", (int)strcspn(cli_commands[i]->name, " "),
                 cli_commands[i]->name);
        if (cli_similar(word, first))
            return cli_usage_error(cli, "unknown command \"%s\"; did you mean \"%s\"?", word, first);
    }
    return cli_usage_error(cli, "unknown command \"%s\"", word);
}

static int run_help(struct cli *cli, int argc, char **argv, int next)
{
    if (next >= argc || !strcmp(argv[next], "--help") || !strcmp(argv[next], "-h"))
        return cli_help_overview(cli, NULL);
    const struct cli_command *command = find_command(argc, argv, &next);
    if (command)
        return cli_help_command(cli, command);
    if (is_group(argv[next]))
        return cli_help_overview(cli, argv[next]);
    return unknown_command(cli, argv[next]);
}

static int run_group(struct cli *cli, int argc, char **argv, int next)
{
    const char *group = argv[next];
    const char *word = next + 1 < argc ? argv[next + 1] : NULL;
    if (word && (!strcmp(word, "--help") || !strcmp(word, "-h")))
        return cli_help_overview(cli, group);
    const char *meant = NULL;
    for (size_t i = 0; word && cli_commands[i] && !meant; i++) {
        size_t length = strlen(group);
        if (!strncmp(cli_commands[i]->name, group, length) && cli_commands[i]->name[length] == ' ' &&
            cli_similar(word, cli_commands[i]->name + length + 1))
            meant = cli_commands[i]->name;
    }
    if (meant)
        (void)cli_error_as(cli, SL_INVALID_ARGUMENT, "unknown command \"%s %s\"; did you mean \"%s\"?", group,
                           word, meant);
    else if (word)
        (void)cli_error_as(cli, SL_INVALID_ARGUMENT, "unknown command \"%s %s\"", group, word);
    else
        (void)cli_error_as(cli, SL_INVALID_ARGUMENT, "%s what?", group);
    cli_hint(cli, "`streamlayer %s --help` shows its commands.", group);
    return CLI_USAGE;
}

static int run_command(struct cli *cli, const struct cli_command *command, int argc, char **argv, int next)
{
    cli->command = command;
    if (!cli_options_parse(cli, command, argc, argv, &next))
        return CLI_USAGE;
    apply_globals(cli);
    if (cli_flag(cli, "help"))
        return cli_help_command(cli, command);
    int count = argc - next;
    if (count < command->min_operands)
        return cli_usage_error(cli, "%s needs %s", command->name, command->operands);
    if (command->max_operands >= 0 && count > command->max_operands)
        return cli_usage_error(cli, "%s does not take \"%s\"%s%s", command->name,
                               argv[next + command->max_operands], command->surplus ? ": " : "",
                               command->surplus ? command->surplus : "");
    cli->operands = (const char *const *)(argv + next);
    cli->operand_count = (size_t)count;
    cli_catch_signals();
    return command->run(cli);
}

/* A mistake before all options are read is said as JSON, too. */
static void foresee_json(struct cli *cli, int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
        cli->json |= !strcmp(argv[i], "--json") || !strcmp(argv[i], "-j");
}

static int run(struct cli *cli, int argc, char **argv)
{
    int next = 1;
    apply_globals(cli);
    /* What completion scripts ask: no command of people's. */
    if (argc > 2 && !strcmp(argv[1], "__complete"))
        return cli_complete(cli, argc - 2, argv + 2);
    foresee_json(cli, argc, argv);
    if (!cli_options_parse(cli, NULL, argc, argv, &next))
        return CLI_USAGE;
    apply_globals(cli);
    foresee_json(cli, argc, argv);
    if (cli_flag(cli, "help"))
        return run_help(cli, argc, argv, next);
    if (cli_flag(cli, "version"))
        return version(cli);
    if (next >= argc) {
        (void)cli_error_as(cli, SL_INVALID_ARGUMENT, "a command is needed");
        cli_hint(cli, "`streamlayer --help` shows the commands.");
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

/* A file or socket opened later must not take the place of a standard one that was closed before: messages
 * would be written into it. What stands there instead fails, as a closed one does. */
static bool hold_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    struct cli cli = {0};
    sl_forbid_cores();
    if (!hold_standard_files())
        return CLI_FAILED;
    int code = run(&cli, argc, argv);
    cli_release(&cli);
    if (code == CLI_READER_GONE) {
        /* The shell's own pipelines end so, silently; everything is closed and committed. */
        signal(SIGPIPE, SIG_DFL);
        raise(SIGPIPE);
    }
    return code;
}
