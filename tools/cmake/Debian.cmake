# `cpack` in a build folder makes Debian's packages: vkgpt, libvkgpt0 and libvkgpt-dev. tools/debian-packages makes and tries
# them; they are for the release of Debian that they are made on, whose libraries they name.

set(CPACK_GENERATOR DEB)
# the address is that of the commits: the project publishes no other one
set(CPACK_PACKAGE_CONTACT "vkgpt maintainers <maintainers@users.noreply.r-seed-d91b52db.example>"
    CACHE STRING "The maintainer that the packages name")
mark_as_advanced(CPACK_PACKAGE_CONTACT)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL program library development)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "") # each package has its own

set(DEBIAN_VERSION ${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})
set(DEBIAN_LIBRARY libvkgpt${PROJECT_VERSION_MAJOR})
# the loader is opened when the first device is, so that shlibdeps does not see it
set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME vkgpt)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_DEPENDS libvulkan1)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_RECOMMENDS mesa-vulkan-drivers)
set(CPACK_COMPONENT_PROGRAM_DESCRIPTION "run models of the GPT family on any Vulkan device
vkgpt writes on from a prompt, measures and converts models of the classes
GPT-1, GPT-2, GPT-Neo and OPT, on a GPU with a Vulkan driver, or on the
processor through Mesa's software driver.")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME ${DEBIAN_LIBRARY})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_DEPENDS libvulkan1)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_RECOMMENDS mesa-vulkan-drivers)
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "library to run models of the GPT family on any Vulkan device
The shared library of vkgpt: models, tokenizers, text and scores of the
classes GPT-1, GPT-2, GPT-Neo and OPT, in C.")
file(WRITE ${CMAKE_BINARY_DIR}/debian/triggers "activate-noawait ldconfig\n")
file(WRITE ${CMAKE_BINARY_DIR}/debian/shlibs "libvkgpt ${PROJECT_VERSION_MAJOR} ${DEBIAN_LIBRARY} (>= ${PROJECT_VERSION})\n")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA ${CMAKE_BINARY_DIR}/debian/triggers ${CMAKE_BINARY_DIR}/debian/shlibs)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libvkgpt-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
    "${DEBIAN_LIBRARY} (= ${DEBIAN_VERSION}), libpcre2-dev, libutf8proc-dev, libcjson-dev, libyajl-dev")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "library to run models of the GPT family (development files)
The header, the static library, and what CMake and pkg-config need, to build
programs with libvkgpt.")

# what Debian wants of every package, and of its manual page
string(TIMESTAMP DEBIAN_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC)
configure_file(${CMAKE_SOURCE_DIR}/tools/debian/changelog.in ${CMAKE_BINARY_DIR}/debian/changelog @ONLY)
file(READ LICENSE DEBIAN_LICENSE)
string(REGEX REPLACE "^MIT License\n\n(Copyright [^\n]*)\n\n" "" DEBIAN_LICENSE "${DEBIAN_LICENSE}")
set(DEBIAN_COPYRIGHT "${CMAKE_MATCH_1}")
string(REGEX REPLACE "^Copyright \\(c\\) " "" DEBIAN_COPYRIGHT "${DEBIAN_COPYRIGHT}")
string(STRIP "${DEBIAN_LICENSE}" DEBIAN_LICENSE)
string(REPLACE "\n\n" "\n.\n" DEBIAN_LICENSE "${DEBIAN_LICENSE}")
string(REPLACE "\n" "\n " DEBIAN_LICENSE " ${DEBIAN_LICENSE}")
configure_file(${CMAKE_SOURCE_DIR}/tools/debian/copyright.in ${CMAKE_BINARY_DIR}/debian/copyright @ONLY)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/tools/debian/documents.cmake)
set(CPACK_VKGPT_DOCUMENTS ${CMAKE_BINARY_DIR}/debian)
set(CPACK_VKGPT_DOCUMENTS_OF "program=vkgpt;library=${DEBIAN_LIBRARY};development=libvkgpt-dev")
include(CPack)
