/* What --help says, from the tables that the parser reads. */
#include "help.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WIDTH      100 /* at most; a terminal may be narrower */
#define MIN_WIDTH  60
#define LEFT_WIDTH 26

const char cli_program_summary[] =
    "Reads and writes stream layers through Kafka or HTTP, and runs a platform that has them.";

const char cli_exit_codes[] = "    0  done\n"
                              "    1  failed\n"
                              "    2  a mistake on the command line or in the configuration\n"
                              "    3  no such catalog, layer, setting or file\n"
                              "    4  not allowed: no credentials, wrong ones, or no grant\n"
                              "    5  the platform cannot be reached, cannot serve now, or took too long\n"
                              "    6  the connector is not installed\n"
                              "  130  interrupted\n"
                              "  141  who reads standard output has gone, as head does (SIGPIPE)\n";

bool cli_next_block(const char **text, struct cli_block *block)
{
    const char *at = *text + strspn(*text, "\n");
    *block = (struct cli_block){.text = at, .verbatim = *at == ' '};
    if (!*at)
        return false;
    while (*at && *at != '\n' && (*at == ' ') == block->verbatim) {
        at += strcspn(at, "\n");
        at += *at == '\n';
    }
    block->size = (size_t)(at - block->text);
    *text = at;
    return true;
}

bool cli_option_is_end(const struct cli_option *option)
{
    return !option->letter && !option->name;
}

void cli_option_usage(const struct cli_option *option, char *out, size_t size)
{
    char letter[3] = {'-', option->letter, 0};
    snprintf(out, size, "%s%s%s%s%s%s", option->letter ? letter : "    ",
             option->letter && option->name ? ", " : "", option->name ? "--" : "",
             option->name ? option->name : "", option->argument ? " " : "",
             option->argument ? option->argument : "");
}

void cli_command_usage(const struct cli_command *command, char *out, size_t size)
{
    snprintf(out, size, "streamlayer %s%s%s%s", command->name, command->options ? " [OPTION…]" : "",
             *command->operands ? " " : "", command->operands);
}

static int line_width(void)
{
    struct winsize window;
    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) || !window.ws_col ||
        window.ws_col > WIDTH)
        return WIDTH;
    return window.ws_col < MIN_WIDTH ? MIN_WIDTH : window.ws_col;
}

static int columns(const char *text, size_t size)
{
    int count = 0;
    for (size_t i = 0; i < size; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

/* Words, in lines that begin at column indent; the first line stands there already. */
static void print_words(const char *text, size_t size, int indent)
{
    int column = indent, width = line_width();
    const char *end = text + size;
    for (bool first = true; text < end; first = false) {
        size_t blanks = strspn(text, " \n");
        size_t length = strcspn(text + blanks, " \n");
        text += blanks;
        if (text >= end || !length)
            break;
        int word = columns(text, length);
        if (!first && column + 1 + word > width) {
            printf("\n%*s", indent, "");
            column = indent;
        } else if (!first) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)length, text);
        column += word;
        text += length;
    }
    putchar('\n');
}

static void print_text(const char *text)
{
    struct cli_block block;
    while (cli_next_block(&text, &block)) {
        putchar('\n');
        if (block.verbatim)
            printf("%.*s", (int)block.size, block.text);
        else
            print_words(block.text, block.size, 0);
        if (block.verbatim && block.text[block.size - 1] != '\n')
            putchar('\n');
    }
}

void cli_options_help(const struct cli_option *options)
{
    for (const struct cli_option *option = options; !cli_option_is_end(option); option++) {
        char left[96];
        cli_option_usage(option, left, sizeof left);
        if (strlen(left) > LEFT_WIDTH)
            printf("  %s\n  %*s  ", left, LEFT_WIDTH, "");
        else
            printf("  %-*s  ", LEFT_WIDTH, left);
        print_words(option->meaning, strlen(option->meaning), LEFT_WIDTH + 4);
    }
}

int cli_help_overview(const struct cli *cli, const char *group)
{
    size_t length = group ? strlen(group) : 0;
    printf("Usage: streamlayer [OPTION…] %s%sCOMMAND …\n\n", group ? group : "", group ? " " : "");
    if (!group)
        printf("%s\n\n", cli_program_summary);
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
    printf("Exit codes:\n%s", cli_exit_codes);
    return cli_flush_output(cli);
}

int cli_help_command(const struct cli *cli, const struct cli_command *command)
{
    char usage[200];
    cli_command_usage(command, usage, sizeof usage);
    printf("Usage: %s\n\n", usage);
    printf("%c%s.\n", command->summary[0] - ('a' - 'A'), command->summary + 1);
    if (command->details)
        print_text(command->details);
    if (command->options) {
        puts("\nOptions:");
        cli_options_help(command->options);
    }
    puts("\nOptions of every command:");
    cli_options_help(cli_global_options);
    printf("\nExamples:\n%s\n", command->examples);
    printf("Exit codes:\n%s", cli_exit_codes);
    return cli_flush_output(cli);
}
