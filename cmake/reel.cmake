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

# reel_public_library (name PARTS target... USES target...)
# An installed library, static and shared, that holds all of reel that it needs. The folder has libNAME.map, which says
# what it shows, and NAME.pc.in.
function (reel_public_library name)
    cmake_parse_arguments (PARSE_ARGV 1 arg "" "" "PARTS;USES")
    set (objects)
    foreach (part IN LISTS arg_PARTS)
        get_target_property (type ${part} TYPE)
        if (type STREQUAL "STATIC_LIBRARY")
            list (APPEND objects "$<TARGET_OBJECTS:${part}>")
        endif ()
    endforeach ()
    set (exports "${CMAKE_CURRENT_SOURCE_DIR}/lib${name}.map")
    foreach (kind IN ITEMS static shared)
        string (TOUPPER ${kind} form)
        add_library (lib${name}_${kind} ${form} ${objects})
        set_target_properties (lib${name}_${kind} PROPERTIES OUTPUT_NAME ${name} LINKER_LANGUAGE C)
        target_link_libraries (lib${name}_${kind} PRIVATE ${arg_USES})
    endforeach ()
    set_target_properties (
        lib${name}_shared PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
                                     LINK_DEPENDS "${exports}"
    )
    # nodelete: jansson may hold a function of ours (proto/json.c).
    target_link_options (lib${name}_shared PRIVATE "-Wl,--version-script=${exports}" "-Wl,-z,nodelete")
    install (TARGETS lib${name}_static lib${name}_shared DESTINATION "${CMAKE_INSTALL_LIBDIR}")
    # Relative, so that an installation can be moved.
    file (RELATIVE_PATH reel_pc_prefix "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
    configure_file (${name}.pc.in "${PROJECT_BINARY_DIR}/${name}.pc" @ONLY)
    install (FILES "${PROJECT_BINARY_DIR}/${name}.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endfunction ()
