# Finds what vkgpt is built from. Everything is looked for before the first complaint, so that one sentence
# names every Debian package that is missing.

set(MISSING_PACKAGES "")

macro(package_program variable program package)
    find_program(${variable} ${program})
    if(NOT ${variable})
        list(APPEND MISSING_PACKAGES ${package})
    endif()
endmacro()

macro(package_header variable header package)
    find_path(${variable} ${header})
    if(NOT ${variable})
        list(APPEND MISSING_PACKAGES ${package})
    endif()
endmacro()

option(VKGPT_PORTABLE "A program that needs libc and the Vulkan loader alone: all other libraries are linked in" OFF)
set(CJSON_SOURCE "" CACHE PATH "With VKGPT_PORTABLE: the folder of cJSON.c, where the system has no static library of it")
mark_as_advanced(CJSON_SOURCE)

macro(package_library variable library package)
    if(VKGPT_PORTABLE)
        find_library(${variable} NAMES lib${library}.a lib${library}_s.a)
    else()
        find_library(${variable} ${library})
    endif()
    if(NOT ${variable})
        list(APPEND MISSING_PACKAGES ${package})
    endif()
endmacro()

package_header(VULKAN_INCLUDE vulkan/vulkan.h libvulkan-dev)
package_header(VOLK_INCLUDE volk.h libvulkan-volk-dev)
package_program(GLSLANG glslangValidator glslang-tools)
package_program(SPIRV_VAL spirv-val spirv-tools)
package_program(SPIRV_OPT spirv-opt spirv-tools)
package_header(PCRE2_INCLUDE pcre2.h libpcre2-dev)
package_library(PCRE2_LIBRARY pcre2-8 libpcre2-dev)
package_header(UTF8PROC_INCLUDE utf8proc.h libutf8proc-dev)
package_library(UTF8PROC_LIBRARY utf8proc libutf8proc-dev)
package_header(CJSON_INCLUDE cjson/cJSON.h libcjson-dev)
if(VKGPT_PORTABLE AND CJSON_SOURCE)
    add_library(vkgpt_cjson STATIC ${CJSON_SOURCE}/cJSON.c)
    set(CJSON_LIBRARY vkgpt_cjson)
else()
    package_library(CJSON_LIBRARY cjson libcjson-dev)
endif()
package_header(YAJL_INCLUDE yajl/yajl_parse.h libyajl-dev)
package_library(YAJL_LIBRARY yajl libyajl-dev)
package_header(ZLIB_INCLUDE zlib.h zlib1g-dev)
package_library(ZLIB_LIBRARY z zlib1g-dev)
# A part of the program is left out where one of the named things was not found, and of a portable program.
macro(optional_part option sentence)
    if(VKGPT_PORTABLE)
        set(${option} OFF)
    endif()
    foreach(needed ${ARGN})
        if(${option} AND NOT ${needed})
            message(STATUS "${sentence}")
            set(${option} OFF)
        endif()
    endforeach()
endmacro()

find_path(CURL_INCLUDE curl/curl.h)
find_library(CURL_LIBRARY curl) # brings two dozen libraries
find_path(MD_INCLUDE sha2.h)
find_library(MD_LIBRARY md)
optional_part(VKGPT_PULL "vkgpt pull is left out: it needs libcurl and libmd (Debian: libcurl4-openssl-dev libmd-dev)"
    CURL_INCLUDE CURL_LIBRARY MD_INCLUDE MD_LIBRARY)
find_path(MICROHTTPD_INCLUDE microhttpd.h)
find_library(MICROHTTPD_LIBRARY microhttpd) # brings GnuTLS
optional_part(VKGPT_SERVE "vkgpt serve is left out: it needs libmicrohttpd (Debian: libmicrohttpd-dev)"
    MICROHTTPD_INCLUDE MICROHTTPD_LIBRARY)
find_path(EDIT_INCLUDE histedit.h)
find_library(EDIT_LIBRARY edit) # brings terminfo and libbsd
optional_part(VKGPT_EDIT "vkgpt chat edits no lines: it needs libedit (Debian: libedit-dev)" EDIT_INCLUDE EDIT_LIBRARY)
find_package(MPI QUIET COMPONENTS C)
if(VKGPT_MPI AND NOT MPI_C_FOUND)
    list(APPEND MISSING_PACKAGES libopenmpi-dev openmpi-bin)
endif()
if(VKGPT_TESTS)
    package_header(CMOCKA_INCLUDE cmocka.h libcmocka-dev)
    package_library(CMOCKA_LIBRARY cmocka libcmocka-dev)
endif()

if(MISSING_PACKAGES)
    list(REMOVE_DUPLICATES MISSING_PACKAGES)
    string(REPLACE ";" " " MISSING_PACKAGES "${MISSING_PACKAGES}")
    message(FATAL_ERROR "Packages are missing; on Debian: sudo apt-get install ${MISSING_PACKAGES} "
        "(docs/install.md has the names of other systems)")
endif()

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

# What the library links, and how a program says that links the static one.
set(LIBRARY_LINKS ${PCRE2_LIBRARY} ${UTF8PROC_LIBRARY} ${CJSON_LIBRARY} ${YAJL_LIBRARY} Threads::Threads ${CMAKE_DL_LIBS} m)
set(STATIC_LINKS pcre2-8 utf8proc cjson yajl Threads::Threads ${CMAKE_DL_LIBS} m)
list(TRANSFORM STATIC_LINKS REPLACE "Threads::Threads" "pthread" OUTPUT_VARIABLE PC_LINKS)
list(TRANSFORM PC_LINKS PREPEND "-l")
list(JOIN PC_LINKS " " PC_LINKS)

# volk is compiled here: its names stay inside of the library then, and on Debian libvolk is another project's
function(packages_link target)
    target_include_directories(${target} SYSTEM PUBLIC
        ${VULKAN_INCLUDE} ${VOLK_INCLUDE} ${PCRE2_INCLUDE} ${UTF8PROC_INCLUDE} ${CJSON_INCLUDE}
        ${YAJL_INCLUDE})
    target_compile_definitions(${target} PRIVATE PCRE2_CODE_UNIT_WIDTH=8)
    target_sources(${target} PRIVATE ${VOLK_INCLUDE}/volk.c)
    set_source_files_properties(${VOLK_INCLUDE}/volk.c PROPERTIES COMPILE_OPTIONS -w)
    target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:vkgpt_flags>)
    target_link_libraries(${target} PUBLIC ${LIBRARY_LINKS})
endfunction()
