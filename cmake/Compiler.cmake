# Warnings are errors; hardening for all that is shipped; sanitizers on request.
add_library(sl_flags INTERFACE)
target_compile_options(sl_flags INTERFACE
    -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion -Wsign-conversion -Wcast-qual -Wformat=2
    -Wundef -Wvla -Wnull-dereference -Wwrite-strings -Wpointer-arith
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition>
    -fstack-protector-strong -fno-common)
target_compile_definitions(sl_flags INTERFACE _GNU_SOURCE)
target_include_directories(sl_flags INTERFACE
    ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src ${PROJECT_BINARY_DIR}/include)
if(SL_SANITIZE)
    target_compile_options(sl_flags INTERFACE -fsanitize=${SL_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(sl_flags INTERFACE -fsanitize=${SL_SANITIZE})
    target_compile_definitions(sl_flags INTERFACE SL_SANITIZED=1)
    # The sanitizers' instrumentation makes gcc see null dereferences that are not there.
    target_compile_options(sl_flags INTERFACE -Wno-null-dereference)
else()
    target_compile_options(sl_flags INTERFACE "$<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2>")
    target_link_options(sl_flags INTERFACE -Wl,-z,relro,-z,now)
endif()
include(CheckPIESupported)
check_pie_supported()
