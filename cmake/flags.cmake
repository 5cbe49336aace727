# Compiler flags: warnings for every build, hardening for optimised ones, sanitizers on request.
include (CheckCCompilerFlag)
include (CheckLinkerFlag)

# Adds those of the flags that this compiler knows.
function (reel_add_flags)
    foreach (flag IN LISTS ARGN)
        string (MAKE_C_IDENTIFIER "REEL_HAS${flag}" known)
        check_c_compiler_flag ("${flag}" ${known})
        if (${known})
            add_compile_options ("${flag}")
        endif ()
    endforeach ()
endfunction ()

function (reel_add_link_flags)
    foreach (flag IN LISTS ARGN)
        string (MAKE_C_IDENTIFIER "REEL_LINKS${flag}" known)
        check_linker_flag (C "${flag}" ${known})
        if (${known})
            add_link_options ("${flag}")
        endif ()
    endforeach ()
endfunction ()

add_compile_options (
    -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wvla
    -Wformat=2 -Wundef -Wdouble-promotion
)
if (CMAKE_C_COMPILER_ID MATCHES "Clang")
    add_compile_options (-Wno-string-plus-int -Wno-format-nonliteral)
endif ()
reel_add_flags (-Wlogical-op -Wduplicated-cond -Walloca -Wimplicit-fallthrough)

# Messages and assertions name files relative to the root.
add_compile_options ("-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=")
add_compile_options (-fno-common)

# OpenSSF, Compiler Options Hardening Guide for C and C++.
if (CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT REEL_SANITIZE)
    add_compile_options (-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
    reel_add_flags (
        -fstack-protector-strong -fstack-clash-protection -fstrict-flex-arrays=3 -ftrivial-auto-var-init=zero
        -fno-delete-null-pointer-checks -fno-strict-overflow -fno-strict-aliasing -fexceptions
        -Werror=implicit -Werror=incompatible-pointer-types -Werror=int-conversion
    )
    if (CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
        reel_add_flags (-fcf-protection=full)
    elseif (CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64")
        reel_add_flags (-mbranch-protection=standard)
    endif ()
    reel_add_link_flags (-Wl,-z,noexecstack -Wl,-z,relro -Wl,-z,now -Wl,--as-needed -Wl,--no-copy-dt-needed-entries)
    include (CheckPIESupported)
    check_pie_supported (LANGUAGES C)
endif ()

if (REEL_SANITIZE)
    add_compile_options ("-fsanitize=${REEL_SANITIZE}" -fno-omit-frame-pointer -fno-sanitize-recover=all)
    add_link_options ("-fsanitize=${REEL_SANITIZE}")
endif ()
if (REEL_FUZZ)
    add_compile_options (-fsanitize=fuzzer-no-link)
    # What the targets need no coverage of, such as the programs, still has to link.
    add_link_options (-fsanitize=fuzzer-no-link)
endif ()

# Not the product, but a mutant of it, for trying one out by hand; script/mutants tries them all.
set (REEL_MUTANT 0 CACHE STRING "Number of a mutant in tests/mutants/mutants.txt; 0: the product")
if (REEL_MUTANT)
    add_compile_definitions ("REEL_MUTANT=${REEL_MUTANT}")
    install (CODE "message (FATAL_ERROR \"A mutant (REEL_MUTANT=${REEL_MUTANT}) is not to be installed\")")
endif ()
