# What `cmake --build BUILD --target tarball` runs: all components in one archive, which runs wherever it is unpacked.
#   cmake -D BUILD=… -D NAME=… -D OUTPUT=….tar.gz -P Tarball.cmake
# The systemd service needs places that are fixed: it is right for what is unpacked as /opt/streamlayer.
set(place ${OUTPUT}.d)
file(REMOVE_RECURSE ${place})
execute_process(COMMAND ${CMAKE_COMMAND} -E env DESTDIR=${place} ${CMAKE_COMMAND} --install ${BUILD} --prefix /opt/streamlayer --strip
                OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
file(RENAME ${place}/opt/streamlayer ${place}/${NAME})
if(EXISTS ${place}/etc/opt/streamlayer) # the service's settings, which are to be copied there
    file(RENAME ${place}/etc/opt/streamlayer ${place}/${NAME}/etc)
endif()
execute_process(COMMAND tar -czf ${OUTPUT} --sort=name --owner=root:0 --group=root:0 -C ${place} ${NAME}
                COMMAND_ERROR_IS_FATAL ANY)
file(REMOVE_RECURSE ${place})
