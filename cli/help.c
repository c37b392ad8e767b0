/* What --help says, from the tables that the parser reads. */
#include "cli.h"

#include <string.h>

const char cli_exit_codes[] = "Exit codes:\n"
                              "    0  done\n"
                              "    1  failed\n"
                              "    2  a mistake on the command line or in the configuration\n"
                              "    3  no such catalog, layer, setting or file\n"
                              "    4  not allowed: no credentials, wrong ones, or no grant\n"
                              "    5  the platform cannot be reached, cannot serve now, or took too long\n"
                              "    6  the connector is not installed\n"
                              "  130  interrupted\n"
                              "  141  who reads standard output has gone, as head does (SIGPIPE)\n";

int cli_help_overview(const struct cli *cli, const char *group)
{
    size_t length = group ? strlen(group) : 0;
    printf("Usage: streamlayer [OPTION…] %s%sCOMMAND …\n\n", group ? group : "", group ? " " : "");
    if (!group)
        puts("Reads and writes stream layers through Kafka or HTTP, and runs a platform that has them.\n");
    puts("Commands:");
    for (size_t i = 0; cli_commands[i]; i++)
        if (!group ||
            (!strncmp(cli_commands[i]->name, group, length) && cli_commands[i]->name[length] == ' '))
            printf("  %-16s  %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    if (!group)
        printf("  %-16s  %s\n", "help [COMMAND]", "this overview, or a command's help");
    puts("\nOptions, before or after the command:");
    cli_options_help(cli_global_options);
    puts("\n`streamlayer COMMAND --help` shows a command's own options, with examples.\n");
    fputs(cli_exit_codes, stdout);
    return cli_flush_output(cli);
}

int cli_help_command(const struct cli *cli, const struct cli_command *command)
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
    fputs(cli_exit_codes, stdout);
    return cli_flush_output(cli);
}
