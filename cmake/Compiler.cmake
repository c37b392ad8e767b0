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
    # 3 knows the sizes of more objects than 2.
    set(fortify 2)
    if(CMAKE_C_COMPILER_ID STREQUAL GNU AND CMAKE_C_COMPILER_VERSION VERSION_GREATER_EQUAL 12)
        set(fortify 3)
    endif()
    target_compile_options(sl_flags INTERFACE
        "$<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=${fortify}>")
    include(CheckCCompilerFlag)
    foreach(flag stack-clash-protection cf-protection) # the processor's kind decides
        string(MAKE_C_IDENTIFIER "SL_HAS_${flag}" known)
        check_c_compiler_flag("-Werror;-f${flag}" ${known})
        if(${known})
            target_compile_options(sl_flags INTERFACE -f${flag})
        endif()
    endforeach()
    target_link_options(sl_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
endif()
include(CheckPIESupported)
check_pie_supported()
