/*
 * The main function of every cmocka program: runs the case named by the first argument, or all. The exit
 * status is 0 only when what was asked for ran and passed; naming a case that is not there fails.
 */
#ifndef TESTS_CASES_H
#define TESTS_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h> /* needs those before it */

#define CASES_MAIN(...)                                                                                      \
    int main(int argc, char **argv)                                                                          \
    {                                                                                                        \
        const struct CMUnitTest tests[] = {__VA_ARGS__};                                                     \
        if (argc > 1) {                                                                                      \
            size_t at = 0;                                                                                   \
            while (at < sizeof tests / sizeof *tests && strcmp(tests[at].name, argv[1]) != 0)                \
                at++;                                                                                        \
            if (at == sizeof tests / sizeof *tests) {                                                        \
                (void)fprintf(stderr, "there is no case \"%s\"\n", argv[1]);                                 \
                return 2;                                                                                    \
            }                                                                                                \
            cmocka_set_test_filter(argv[1]);                                                                 \
        }                                                                                                    \
        return cmocka_run_group_tests(tests, NULL, NULL);                                                    \
    }

#endif
