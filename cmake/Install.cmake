# Install components: runtime (the library), dev, kafka-support (the plug-in), gateway, cli.
include(CMakePackageConfigHelpers)
set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/streamlayer)

install(TARGETS streamlayer_shared EXPORT streamlayer-targets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT dev)
install(TARGETS streamlayer_static
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/streamlayer ${PROJECT_BINARY_DIR}/include/streamlayer
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev FILES_MATCHING PATTERN "*.h")

file(RELATIVE_PATH SL_PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${CMAKE_CURRENT_LIST_DIR}/streamlayer.pc.in ${PROJECT_BINARY_DIR}/streamlayer.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/streamlayer.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/streamlayer-config.cmake.in
    ${PROJECT_BINARY_DIR}/streamlayer-config.cmake INSTALL_DESTINATION ${config_dir}
    PATH_VARS CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/streamlayer-config-version.cmake
    COMPATIBILITY SameMajorVersion)
install(EXPORT streamlayer-targets NAMESPACE streamlayer:: DESTINATION ${config_dir} COMPONENT dev)
install(FILES ${PROJECT_BINARY_DIR}/streamlayer-config.cmake ${PROJECT_BINARY_DIR}/streamlayer-config-version.cmake
        DESTINATION ${config_dir} COMPONENT dev)

if(SL_KAFKA_SUPPORT)
    install(TARGETS kafka_connector LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/${SL_PLUGIN_SUBDIR}
            COMPONENT kafka-support)
endif()
if(SL_GATEWAY)
    install(TARGETS streamlayerd RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT gateway)
    install(TARGETS streamlayer RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT cli)
endif()
