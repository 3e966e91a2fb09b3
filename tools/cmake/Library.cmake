# The library. vkgpt_lib is all of it, with every name, for the program and the tests. What is installed is made of its
# objects: libvkgpt.a, of one object, and libvkgpt.so. The names that vkgpt.h declares are global in both, and no others:
# a program may define its own fail(), and make Vulkan calls of its own.

option(BUILD_SHARED_LIBS "Build libvkgpt.so beside libvkgpt.a" ON)
if(VKGPT_PORTABLE)
    set(BUILD_SHARED_LIBS OFF) # static libraries are made for programs
endif()

file(GLOB LIBRARY_SOURCES CONFIGURE_DEPENDS src/base/*.c src/text/*.c src/model/*.c src/gpu/*.c src/engine/*.c
    src/selftest/*.c) # vkgpt_selftest is a function of the library, though its room stands above the engine
add_library(vkgpt_lib STATIC ${LIBRARY_SOURCES})
set_target_properties(vkgpt_lib PROPERTIES
    OUTPUT_NAME vkgpt_all POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
target_compile_definitions(vkgpt_lib PUBLIC VK_NO_PROTOTYPES)
target_compile_options(vkgpt_lib PRIVATE -fno-lto) # objcopy makes names local in machine code only
shaders_embed(vkgpt_lib)
packages_link(vkgpt_lib)

install(FILES include/vkgpt.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
if(VKGPT_SANITIZE)
    return() # the sanitizers have to be linked into the program, before all else
endif()

# ------------------------------------------------------------------------------------------ libvkgpt.a

set(STATIC_LIBRARY ${CMAKE_BINARY_DIR}/libvkgpt.a)
set(STATIC_OBJECT ${CMAKE_BINARY_DIR}/libvkgpt.o)
add_custom_command(OUTPUT ${STATIC_LIBRARY}
    COMMAND ${CMAKE_LINKER} -r -o ${STATIC_OBJECT} $<TARGET_OBJECTS:vkgpt_lib>
    COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=vkgpt_* ${STATIC_OBJECT}
    COMMAND ${CMAKE_COMMAND} -E rm -f ${STATIC_LIBRARY}
    COMMAND ${CMAKE_AR} rcs ${STATIC_LIBRARY} ${STATIC_OBJECT}
    COMMAND ${CMAKE_COMMAND} -E rm -f ${STATIC_OBJECT}
    DEPENDS vkgpt_lib COMMENT "libvkgpt.a" COMMAND_EXPAND_LISTS VERBATIM)
add_custom_target(vkgpt_static ALL DEPENDS ${STATIC_LIBRARY})
install(FILES ${STATIC_LIBRARY} DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)

# ----------------------------------------------------------------------------------------- libvkgpt.so

if(BUILD_SHARED_LIBS)
    set(VERSION_SCRIPT ${CMAKE_SOURCE_DIR}/src/vkgpt.map)
    add_library(vkgpt_shared SHARED $<TARGET_OBJECTS:vkgpt_lib>)
    set_target_properties(vkgpt_shared PROPERTIES OUTPUT_NAME vkgpt LINKER_LANGUAGE C LINK_DEPENDS ${VERSION_SCRIPT}
        VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
    target_link_options(vkgpt_shared PRIVATE LINKER:--version-script=${VERSION_SCRIPT} LINKER:--no-undefined)
    target_link_libraries(vkgpt_shared PRIVATE ${LIBRARY_LINKS})
    install(TARGETS vkgpt_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        COMPONENT library NAMELINK_COMPONENT development)
endif()

# ------------------------------------------------------------------------ for CMake, and for pkg-config

include(CMakePackageConfigHelpers)
set(CONFIG_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/vkgpt)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/vkgptConfig.cmake.in ${CMAKE_BINARY_DIR}/vkgptConfig.cmake
    INSTALL_DESTINATION ${CONFIG_DIR} PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/vkgptConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/vkgptConfig.cmake ${CMAKE_BINARY_DIR}/vkgptConfigVersion.cmake DESTINATION ${CONFIG_DIR}
        COMPONENT development)

# the prefix is found from where the file is, so that an installed tree can be moved
file(RELATIVE_PATH PREFIX_FROM_PC ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" PREFIX_FROM_PC "${PREFIX_FROM_PC}")
foreach(dir LIB INCLUDE DATA)
    file(RELATIVE_PATH PC_${dir}DIR ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_${dir}DIR})
endforeach()
configure_file(${CMAKE_CURRENT_LIST_DIR}/vkgpt.pc.in ${CMAKE_BINARY_DIR}/vkgpt.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/vkgpt.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
