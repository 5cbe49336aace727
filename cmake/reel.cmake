# Two helpers, so that a folder's CMakeLists.txt is a list of files and of what they may use.

# reel_library (name SOURCES file... LINK target...)
# A static library inside the build. Without sources it is an empty interface, so that what
# depends on it can be configured already.
function (reel_library name)
    cmake_parse_arguments (PARSE_ARGV 1 arg "" "" "SOURCES;LINK")
    if (arg_SOURCES)
        add_library (${name} STATIC ${arg_SOURCES})
        target_link_libraries (${name} PUBLIC ${arg_LINK})
    else ()
        add_library (${name} INTERFACE)
        target_link_libraries (${name} INTERFACE ${arg_LINK})
    endif ()
endfunction ()

# reel_program (name SOURCES file... LINK target...)
# An installed program. Without sources there is none.
function (reel_program name)
    cmake_parse_arguments (PARSE_ARGV 1 arg "" "" "SOURCES;LINK")
    if (arg_SOURCES)
        add_executable (${name} ${arg_SOURCES})
        target_link_libraries (${name} PRIVATE ${arg_LINK})
        install (TARGETS ${name} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
    endif ()
endfunction ()
