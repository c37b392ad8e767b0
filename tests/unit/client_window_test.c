#include "support/cases.h"

#include "client/window.h"

#define MIB (1024 * 1024)

static void it_is_full_by_messages_or_by_bytes(void **state)
{
    (void)state;
    struct sl_window window;
    sl_window_init(&window);
    assert_false(sl_window_full(&window, 0, 0));
    assert_false(sl_window_full(&window, 1000, MIB));
    assert_true(sl_window_full(&window, 1, 16 * MIB));
    assert_true(sl_window_full(&window, 100000, 0));
    assert_true(sl_window_full(&window, SIZE_MAX, SIZE_MAX));
}

static void a_sender_is_woken_when_a_part_of_it_is_free(void **state)
{
    (void)state;
    struct sl_window window;
    sl_window_init(&window);
    assert_false(sl_window_open(&window, 0, 16 * MIB - 1));
    assert_true(sl_window_open(&window, 0, 12 * MIB));
}

static void it_grows_while_waiting_gives_no_room_and_shrinks_again(void **state)
{
    (void)state;
    struct sl_window window;
    sl_window_init(&window);
    sl_window_waited(&window, false);
    assert_false(sl_window_full(&window, 0, 32 * MIB - 1));
    assert_true(sl_window_full(&window, 0, 32 * MIB));
    for (int i = 0; i < 100; i++)
        sl_window_waited(&window, true);
    assert_true(sl_window_full(&window, 0, 16 * MIB)); /* and no smaller than at first */
    assert_false(sl_window_full(&window, 0, 16 * MIB - 1));
    for (int i = 0; i < 100; i++)
        sl_window_waited(&window, false);
    assert_false(sl_window_full(&window, SIZE_MAX / 10000, SIZE_MAX / 4));
}

CASES_MAIN(cmocka_unit_test(it_is_full_by_messages_or_by_bytes),
           cmocka_unit_test(a_sender_is_woken_when_a_part_of_it_is_free),
           cmocka_unit_test(it_grows_while_waiting_gives_no_room_and_shrinks_again), )
