# Install components: runtime (the library), dev, kafka-support (the plug-in), gateway, cli, flink-support (the templates of
# `streamlayer flink init`, to read; the command carries them itself), doc (the guides, the API reference). The Debian
# packages are made of the same (packaging/debian/rules).
include(CMakePackageConfigHelpers)
set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/streamlayer)
# Not in the build directory itself: with its bin in PATH, find_package would take what is not installed.
set(package_dir ${PROJECT_BINARY_DIR}/package)

install(TARGETS streamlayer_shared EXPORT streamlayer-targets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT dev)
install(TARGETS streamlayer_static
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/streamlayer ${PROJECT_BINARY_DIR}/include/streamlayer
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev FILES_MATCHING REGEX "\\.h(pp)?$")

configure_file(${PROJECT_SOURCE_DIR}/docs/libstreamlayer.3.in ${PROJECT_BINARY_DIR}/libstreamlayer.3 @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/libstreamlayer.3 DESTINATION ${CMAKE_INSTALL_MANDIR}/man3 COMPONENT dev)
file(RELATIVE_PATH SL_PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${CMAKE_CURRENT_LIST_DIR}/streamlayer.pc.in ${PROJECT_BINARY_DIR}/streamlayer.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/streamlayer.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/streamlayer-config.cmake.in
    ${package_dir}/streamlayer-config.cmake INSTALL_DESTINATION ${config_dir}
    PATH_VARS CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${package_dir}/streamlayer-config-version.cmake
    COMPATIBILITY SameMajorVersion)
install(EXPORT streamlayer-targets NAMESPACE streamlayer:: DESTINATION ${config_dir} COMPONENT dev)
install(FILES ${package_dir}/streamlayer-config.cmake ${package_dir}/streamlayer-config-version.cmake
        DESTINATION ${config_dir} COMPONENT dev)

if(SL_KAFKA_SUPPORT)
    install(TARGETS kafka_connector LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/${SL_PLUGIN_SUBDIR}
            COMPONENT kafka-support)
endif()
if(SL_GATEWAY)
    install(TARGETS streamlayerd RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT gateway)
    install(TARGETS streamlayer RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT cli)
    set(SL_SYSTEMD_DIR lib/systemd/system CACHE STRING "Where services of systemd are installed")
    # A service, where systemd looks for those of packages; other service managers need neither file. Its paths are
    # known only now that it is installed: `cmake --install … --prefix` says where. It is written there at once, since
    # somebody else may install this build elsewhere at the same time. Settings that are there already are not ours.
    install(CODE "
set(CMAKE_INSTALL_BINDIR \"${CMAKE_INSTALL_BINDIR}\")
set(CMAKE_INSTALL_LIBDIR \"${CMAKE_INSTALL_LIBDIR}\")
set(CMAKE_INSTALL_SYSCONFDIR \"${CMAKE_INSTALL_SYSCONFDIR}\")
include(GNUInstallDirs)
set(SL_SYSTEMD_DIR \"${SL_SYSTEMD_DIR}\")
cmake_path(ABSOLUTE_PATH SL_SYSTEMD_DIR BASE_DIRECTORY \"\${CMAKE_INSTALL_PREFIX}\")
configure_file(\"${PROJECT_SOURCE_DIR}/packaging/systemd/streamlayerd.service.in\"
               \"\$ENV{DESTDIR}\${SL_SYSTEMD_DIR}/streamlayerd.service\" @ONLY)
list(APPEND CMAKE_INSTALL_MANIFEST_FILES \"\${SL_SYSTEMD_DIR}/streamlayerd.service\")
set(conf \"\${CMAKE_INSTALL_FULL_SYSCONFDIR}/streamlayer/gateway.conf\")
if(NOT EXISTS \"\$ENV{DESTDIR}\${conf}\")
    configure_file(\"${PROJECT_SOURCE_DIR}/packaging/gateway.conf.in\" \"\$ENV{DESTDIR}\${conf}\" @ONLY)
    list(APPEND CMAKE_INSTALL_MANIFEST_FILES \"\${conf}\")
endif()" COMPONENT gateway)
    install(FILES ${PROJECT_SOURCE_DIR}/packaging/systemd/streamlayer.sysusers DESTINATION lib/sysusers.d
            RENAME streamlayer.conf COMPONENT gateway)
    install(FILES ${PROJECT_SOURCE_DIR}/packaging/prometheus/alerts.yml
            DESTINATION ${CMAKE_INSTALL_DATADIR}/streamlayer/prometheus COMPONENT gateway)
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/packaging/flink DESTINATION ${CMAKE_INSTALL_DATADIR}/streamlayer
            COMPONENT flink-support)
endif()

# The guides, which name each other by where they lie; the API reference, where it was made.
install(FILES ${PROJECT_SOURCE_DIR}/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT doc)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT doc
        FILES_MATCHING PATTERN "*.md" PATTERN "*.svg" PATTERN docs/api EXCLUDE)
install(DIRECTORY ${PROJECT_BINARY_DIR}/docs/api/html/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/api COMPONENT doc OPTIONAL)

# Manual pages, reference.conf and completions, printed by the programs themselves.
if(SL_GATEWAY)
    set(share ${PROJECT_BINARY_DIR}/share)
    set(pages ${share}/man)
    set(completions ${share}/completions)
    add_custom_command(OUTPUT ${share}/made
        COMMAND ${CMAKE_COMMAND} -E rm -rf ${share}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${pages}/man1 ${pages}/man8 ${completions}
        COMMAND streamlayer man --directory ${pages}/man1
        COMMAND sh -c "\"$1\" --help | \"$2\" man --service >\"$3\"" sh $<TARGET_FILE:streamlayerd>
                $<TARGET_FILE:streamlayer> ${pages}/man8/streamlayerd.8
        COMMAND sh -c "\"$1\" config reference >\"$2\"" sh $<TARGET_FILE:streamlayer> ${share}/reference.conf
        COMMAND sh -c "for shell in bash zsh fish; do \"$1\" completion $shell >\"$2/$shell\" || exit 1; done" sh
                $<TARGET_FILE:streamlayer> ${completions}
        COMMAND ${CMAKE_COMMAND} -E touch ${share}/made
        DEPENDS streamlayer streamlayerd VERBATIM)
    add_custom_target(manuals ALL DEPENDS ${share}/made)
    # A build of single targets (./quickstart's) has not made them, or left older ones.
    foreach(component IN ITEMS cli gateway)
        install(CODE "if(\"$<TARGET_FILE:streamlayer>\" IS_NEWER_THAN \"${share}/made\" OR
   \"$<TARGET_FILE:streamlayerd>\" IS_NEWER_THAN \"${share}/made\")
    execute_process(COMMAND \"${CMAKE_COMMAND}\" --build \"${PROJECT_BINARY_DIR}\" --target manuals
                    RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
        message(FATAL_ERROR \"The manual pages could not be made; see above. Build everything first: \"
                            \"cmake --build ${PROJECT_BINARY_DIR}\")
    endif()
endif()" COMPONENT ${component})
    endforeach()
    install(DIRECTORY ${pages}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT cli)
    install(DIRECTORY ${pages}/man8 DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT gateway)
    install(FILES ${share}/reference.conf DESTINATION ${CMAKE_INSTALL_DATADIR}/streamlayer COMPONENT cli)
    install(FILES ${completions}/bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
            RENAME streamlayer COMPONENT cli)
    set(SL_ZSH_DIR ${CMAKE_INSTALL_DATADIR}/zsh/site-functions CACHE STRING "Where completions for zsh are installed")
    install(FILES ${completions}/zsh DESTINATION ${SL_ZSH_DIR}
            RENAME _streamlayer COMPONENT cli)
    install(FILES ${completions}/fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d
            RENAME streamlayer.fish COMPONENT cli)
endif()

# The whole as one archive.
set(archive streamlayer-${PROJECT_VERSION})
add_custom_target(tarball
    COMMAND ${CMAKE_COMMAND} -D BUILD=${PROJECT_BINARY_DIR} -D NAME=${archive}
            -D OUTPUT=${PROJECT_BINARY_DIR}/${archive}-${CMAKE_SYSTEM_PROCESSOR}.tar.gz
            -P ${PROJECT_SOURCE_DIR}/cmake/Tarball.cmake
    COMMENT "${archive}-${CMAKE_SYSTEM_PROCESSOR}.tar.gz" VERBATIM)
add_dependencies(tarball streamlayer_shared streamlayer_static)
foreach(part kafka_connector streamlayer streamlayerd manuals api_reference)
    if(TARGET ${part})
        add_dependencies(tarball ${part})
    endif()
endforeach()
