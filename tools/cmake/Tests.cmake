# Every tests/test_*.c is a program and a test; the other tests/*.c are a library that they share.
# tests/test_gpu_x.c runs once for each software driver on this machine, under the validation layer.

file(GLOB SUPPORT_SOURCES CONFIGURE_DEPENDS tests/*.c)
file(GLOB TEST_SOURCES CONFIGURE_DEPENDS tests/test_*.c)
if(NOT VKGPT_SERVE)
    list(FILTER TEST_SOURCES EXCLUDE REGEX "test_serve[^/]*$")
endif()
if(TEST_SOURCES)
    list(REMOVE_ITEM SUPPORT_SOURCES ${TEST_SOURCES})
endif()

# where the tests find the source tree and the program; other than here when they are carried to another machine
set(VKGPT_TEST_ROOT ${CMAKE_SOURCE_DIR} CACHE STRING "The source tree, for the tests")
set(VKGPT_TEST_PROGRAM ${CMAKE_BINARY_DIR}/vkgpt CACHE STRING "The program, for the tests")
mark_as_advanced(VKGPT_TEST_ROOT VKGPT_TEST_PROGRAM)

add_library(vkgpt_test_flags INTERFACE)
target_include_directories(vkgpt_test_flags INTERFACE tests)
target_include_directories(vkgpt_test_flags SYSTEM INTERFACE ${CMOCKA_INCLUDE})
target_compile_definitions(vkgpt_test_flags INTERFACE
    VKGPT_SOURCE_DIR="${VKGPT_TEST_ROOT}" VKGPT_PROGRAM="${VKGPT_TEST_PROGRAM}")
target_link_libraries(vkgpt_test_flags INTERFACE vkgpt_lib vkgpt_flags ${CMOCKA_LIBRARY})

if(SUPPORT_SOURCES)
    add_library(vkgpt_test_support STATIC ${SUPPORT_SOURCES})
    target_link_libraries(vkgpt_test_support PUBLIC vkgpt_test_flags)
endif()

# a Vulkan layer that plays a driver which fails, with its manifest beside it
set(FAULTS_DIR ${CMAKE_BINARY_DIR}/faults)
add_library(vkgpt_faults SHARED tests/faults/layer.c tests/faults/limits.c tests/faults/reason.c)
target_include_directories(vkgpt_faults PUBLIC tests/faults PRIVATE SYSTEM ${VULKAN_INCLUDE})
target_compile_options(vkgpt_faults PRIVATE -Wall -Wextra -fvisibility=hidden)
set_target_properties(vkgpt_faults PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${FAULTS_DIR})
target_link_libraries(vkgpt_faults PRIVATE Threads::Threads)
target_link_options(vkgpt_faults PRIVATE LINKER:-z,nodelete) # its counts outlive an instance
file(GENERATE OUTPUT ${FAULTS_DIR}/faults.json INPUT ${CMAKE_SOURCE_DIR}/tests/faults/layer.json.in)

# The manifest of a driver of Mesa: Debian 12 has the processor in its name, Debian 13 does not.
function(mesa_manifest variable driver)
    set(${variable} /usr/share/vulkan/icd.d/${driver}_icd.json)
    if(NOT EXISTS ${${variable}})
        set(${variable} /usr/share/vulkan/icd.d/${driver}_icd.${CMAKE_SYSTEM_PROCESSOR}.json)
    endif()
    set(${variable} ${${variable}} PARENT_SCOPE)
endfunction()

mesa_manifest(LAVAPIPE lvp)
set(SWIFTSHADER /usr/lib/chromium/vk_swiftshader_icd.json)
# where drivers keep what they compiled, for all tests: one folder for several builds spares them most of the compiling
set(VKGPT_TEST_CACHE ${CMAKE_BINARY_DIR}/cache CACHE PATH "The cache of the drivers, for the tests")
mark_as_advanced(VKGPT_TEST_CACHE)
set(TEST_ENVIRONMENT
    XDG_CACHE_HOME=${VKGPT_TEST_CACHE} # a test leaves nothing in the user's own
    MESA_SHADER_CACHE_DIR=${VKGPT_TEST_CACHE} # lavapipe's, also where a test has another home for what vkgpt keeps
    VKGPT_TUNING=off                         # nor takes choices from there, or a second to find them
    ASAN_OPTIONS=detect_stack_use_after_return=1
    LSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/lsan.supp:print_suppressions=0
    UBSAN_OPTIONS=print_stacktrace=1
    TSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/tsan.supp)

# Registers one run of a test program: a name and the environment it runs in.
function(test_register name program)
    add_test(NAME ${name} COMMAND ${program} WORKING_DIRECTORY ${CMAKE_BINARY_DIR})
    set_tests_properties(${name} PROPERTIES TIMEOUT 1800 ENVIRONMENT "${TEST_ENVIRONMENT};${ARGN}"
        FAIL_REGULAR_EXPRESSION "validation: ") # also of what leaks, said after the last test has passed
endfunction()

foreach(source ${TEST_SOURCES})
    cmake_path(GET source STEM program)
    string(REGEX REPLACE "^test_" "" name ${program})
    add_executable(${program} ${source})
    target_link_libraries(${program} PRIVATE
        $<$<BOOL:${SUPPORT_SOURCES}>:vkgpt_test_support> vkgpt_test_flags)
    if(name MATCHES "(^|_)cli(_|$)")
        add_dependencies(${program} vkgpt)
        target_link_libraries(${program} PRIVATE vkgpt_cli)
    elseif(name MATCHES "^serve")
        target_link_libraries(${program} PRIVATE vkgpt_serve)
    elseif(name MATCHES "^(tasks_|text$|bounds$|malloc$)")
        target_link_libraries(${program} PRIVATE vkgpt_tasks)
    endif()
    if(name MATCHES "faults|limits|openings|cli_commands")
        target_link_libraries(${program} PRIVATE vkgpt_faults)
        target_compile_definitions(${program} PRIVATE VKGPT_FAULTS_DIR="${FAULTS_DIR}")
    endif()
    if(name MATCHES "malloc") # allocations that fail: tests/failing_malloc.c
        foreach(function malloc calloc realloc strdup strndup free)
            target_link_options(${program} PRIVATE LINKER:--wrap=${function})
        endforeach()
    endif()
    if(NOT name MATCHES "^gpu_")
        test_register(${name} ${program})
        continue()
    endif()
    if(EXISTS ${LAVAPIPE})
        test_register(${name}.lavapipe ${program} VKGPT_VALIDATE=1 VK_DRIVER_FILES=${LAVAPIPE})
    endif()
    if(EXISTS ${SWIFTSHADER})
        test_register(${name}.swiftshader ${program} VKGPT_VALIDATE=1 VK_DRIVER_FILES=${SWIFTSHADER})
    endif()
    if(VKGPT_TEST_NATIVE)
        test_register(${name}.native ${program} VKGPT_VALIDATE=1)
    endif()
endforeach()

# tests/fuzz: one harness for each reader. A test runs it over the committed inputs and, for two seconds, over damaged copies
# of them; tools/fuzz builds it for libFuzzer instead.
file(GLOB FUZZ_SOURCES CONFIGURE_DEPENDS tests/fuzz/fuzz_*.c)
add_custom_target(fuzz)
add_executable(fuzz_seeds EXCLUDE_FROM_ALL tests/fuzz/seeds_gguf.c)
target_link_libraries(fuzz_seeds PRIVATE vkgpt_test_support vkgpt_test_flags)
foreach(source ${FUZZ_SOURCES})
    cmake_path(GET source STEM program)
    string(REGEX REPLACE "^fuzz_" "" name ${program})
    add_executable(${program} ${source} tests/fuzz/fuzz.c $<$<NOT:$<BOOL:${VKGPT_FUZZ}>>:tests/fuzz/main.c>)
    target_include_directories(${program} PRIVATE tests/fuzz)
    target_link_libraries(${program} PRIVATE vkgpt_cli vkgpt_tasks vkgpt_test_support vkgpt_test_flags)
    add_dependencies(fuzz ${program})
    if(VKGPT_FUZZ)
        target_link_options(${program} PRIVATE -fsanitize=fuzzer)
        continue()
    endif()
    test_register(fuzz.${name} "${program};${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name};2")
endforeach()

# no file and no function is longer than agreed
add_test(NAME sizes COMMAND ${CMAKE_SOURCE_DIR}/tools/check-sizes)

# rooms include those below them, as docs/architecture.md shows, and files make no circles of includes; the way of a token
# is the one that is listed there, and short
find_program(PYTHON3 python3)
mark_as_advanced(PYTHON3)
if(PYTHON3)
    add_test(NAME includes COMMAND ${PYTHON3} -B ${CMAKE_SOURCE_DIR}/tools/check-includes)
    add_test(NAME way COMMAND ${PYTHON3} -B ${CMAKE_SOURCE_DIR}/tools/check-way)
endif()

# that the SPIR-V in shaders/coopmat was made of these sources; else tools/coopmat makes it anew
add_test(NAME coopmat_current COMMAND ${CMAKE_COMMAND} -E compare_files ${SPIRV_DIR}/coopmat.sha256 ${COOPMAT_DIR}/sources.sha256)

# what the vendors' compilers make of the kernels, where Mesa's drivers are; nothing runs. Intel's driver wants a device,
# which fakedrm plays.
mesa_manifest(RADV radeon)
mesa_manifest(ANV intel)
find_path(LIBDRM_INCLUDE i915_drm.h PATH_SUFFIXES libdrm)
find_path(XF86DRM_INCLUDE xf86drm.h)
mark_as_advanced(LIBDRM_INCLUDE XF86DRM_INCLUDE)
add_executable(vendor_stats tools/vendor_stats.c)
target_link_libraries(vendor_stats PRIVATE vkgpt_lib vkgpt_flags)
if(EXISTS ${RADV})
    test_register(vendor_stats.amd "vendor_stats;amd;--quick" VK_DRIVER_FILES=${RADV})
    if(PYTHON3)
        test_register(vendor_stats.early_loads
            "${PYTHON3};-B;${CMAKE_SOURCE_DIR}/tests/early_loads.py;$<TARGET_FILE:vendor_stats>" VK_DRIVER_FILES=${RADV})
        test_register(vendor_stats.loops
            "${PYTHON3};-B;${CMAKE_SOURCE_DIR}/tests/loop_shares.py;$<TARGET_FILE:vendor_stats>" VK_DRIVER_FILES=${RADV})
        set_tests_properties(vendor_stats.loops PROPERTIES SKIP_RETURN_CODE 77)
    endif()
endif()
if(LIBDRM_INCLUDE AND XF86DRM_INCLUDE)
    add_library(fakedrm MODULE tools/fakedrm.c)
    target_include_directories(fakedrm SYSTEM PRIVATE ${LIBDRM_INCLUDE} ${XF86DRM_INCLUDE})
    target_compile_options(fakedrm PRIVATE -Wall -Wextra)
    add_dependencies(vendor_stats fakedrm)
    if(EXISTS ${ANV})
        test_register(vendor_stats.intel "vendor_stats;intel;--quick" VK_DRIVER_FILES=${ANV} LD_PRELOAD=$<TARGET_FILE:fakedrm>)
    endif()
endif()

# tools/gpu-suite, rehearsed on a software driver, tools/results-page and tools/bench-peers; what they run is the programs of this build
if(PYTHON3 AND EXISTS ${LAVAPIPE} AND NOT VKGPT_SANITIZE)
    foreach(class Page Run Peers Rehearsal)
        string(TOLOWER gpu_suite.${class} name)
        test_register(${name} "${PYTHON3};-B;${CMAKE_SOURCE_DIR}/tests/gpu_suite.py;${CMAKE_BINARY_DIR};${class}" VK_DRIVER_FILES=${LAVAPIPE})
    endforeach()
endif()

# every command and every link of README and docs
if(PYTHON3 AND TARGET vkgpt_shared AND EXISTS ${LAVAPIPE} AND NOT VKGPT_SANITIZE)
    test_register(docs "${PYTHON3};-B;${CMAKE_SOURCE_DIR}/tests/docs.py;${CMAKE_BINARY_DIR}" VK_DRIVER_FILES=${LAVAPIPE})
endif()

# the page of `vkgpt explain` in a browser, where Chromium is
if(PYTHON3 AND EXISTS ${LAVAPIPE} AND NOT VKGPT_SANITIZE)
    foreach(class Default Models Size)
        string(TOLOWER explain.${class} name)
        test_register(${name} "${PYTHON3};-B;${CMAKE_SOURCE_DIR}/tests/explain.py;${CMAKE_BINARY_DIR};${class}" VK_DRIVER_FILES=${LAVAPIPE})
    endforeach()
endif()

# the library: what cmake --install gives, and programs outside of the tree that are built with it, docs/examples too; the
# library from Python; its binary interface, which gcc's debug information shows; and the page that is made of the header
find_program(NUMPY_PYTHON python3 HINTS /usr/bin) # Debian's, which has Debian's NumPy
find_program(ABIDIFF abidiff)
mark_as_advanced(NUMPY_PYTHON ABIDIFF)
if(TARGET vkgpt_shared AND EXISTS ${LAVAPIPE})
    test_register(install "${CMAKE_SOURCE_DIR}/tests/install/check;${CMAKE_BINARY_DIR};${CMAKE_BINARY_DIR}/install_test" VK_DRIVER_FILES=${LAVAPIPE})
    test_register(python "${NUMPY_PYTHON};-B;${CMAKE_SOURCE_DIR}/tests/python/test_vkgpt.py;${CMAKE_SOURCE_DIR}/include/vkgpt.h;$<TARGET_FILE:vkgpt>;${CMAKE_SOURCE_DIR}/models/tales"
        VK_DRIVER_FILES=${LAVAPIPE} VKGPT_LIBRARY=$<TARGET_FILE:vkgpt_shared> PYTHONPATH=${CMAKE_SOURCE_DIR}/tools/python)
endif()
if(TARGET vkgpt_shared AND ABIDIFF AND CMAKE_C_COMPILER_ID STREQUAL GNU AND CMAKE_BUILD_TYPE STREQUAL RelWithDebInfo
        AND CMAKE_SYSTEM_PROCESSOR STREQUAL x86_64)
    add_test(NAME abi COMMAND ${CMAKE_SOURCE_DIR}/tools/abi $<TARGET_FILE:vkgpt_shared>)
endif()
find_program(MMDEBSTRAP mmdebstrap)
mark_as_advanced(MMDEBSTRAP)
if(TARGET vkgpt_shared AND MMDEBSTRAP) # as root, with network
    foreach(suite bookworm trixie)
        add_test(NAME debian_packages.${suite}
            COMMAND ${CMAKE_SOURCE_DIR}/tools/debian-packages ${CMAKE_BINARY_DIR}/packages-${suite} ${suite})
    endforeach()
    add_test(NAME portable COMMAND ${CMAKE_SOURCE_DIR}/tools/portable ${CMAKE_BINARY_DIR}/debian13)
    set_tests_properties(debian_packages.bookworm debian_packages.trixie portable PROPERTIES TIMEOUT 3600)
endif()
add_test(NAME api_doc COMMAND ${CMAKE_SOURCE_DIR}/tools/api-doc --check)
add_test(NAME setup_packages COMMAND ${CMAKE_SOURCE_DIR}/tests/setup_packages)

# vkgpt pull against a server on loopback that speaks the hub's API
if(PYTHON3 AND VKGPT_PULL)
    foreach(class Pull Revisions Faults TheirCache)
        string(TOLOWER hub.${class} name)
        test_register(${name} "${PYTHON3};-B;${CMAKE_SOURCE_DIR}/tests/hub.py;${CMAKE_BINARY_DIR};${class}")
    endforeach()
endif()

# a model over the ranks of MPI, where OpenMPI is
find_program(MPIRUN mpirun)
mark_as_advanced(MPIRUN)
if(PYTHON3 AND MPIRUN AND TARGET vkgpt_mpi AND EXISTS ${LAVAPIPE})
    set(program vkgpt)
    if(TARGET vkgpt_ranks)
        set(program vkgpt_ranks)
    endif()
    foreach(class Same Drivers Faults Killed)
        string(TOLOWER mpi.${class} name)
        if(NOT class STREQUAL Drivers OR EXISTS ${SWIFTSHADER})
            test_register(${name} "${PYTHON3};-B;${CMAKE_SOURCE_DIR}/tests/mpi.py;$<TARGET_FILE:${program}>;${class}" VK_DRIVER_FILES=${LAVAPIPE})
            set_tests_properties(${name} PROPERTIES RESOURCE_LOCK ranks) # it looks for ranks of its program that are left
        endif()
    endforeach()
endif()

# vkgpt chat, from a pipe and on a terminal
if(PYTHON3 AND EXISTS ${LAVAPIPE})
    foreach(class Lines Templates Saved Lost)
        string(TOLOWER chat.${class} name)
        test_register(${name} "${PYTHON3};-B;${CMAKE_SOURCE_DIR}/tests/chat.py;${CMAKE_BINARY_DIR};${class}" VK_DRIVER_FILES=${LAVAPIPE})
    endforeach()
    if(VKGPT_EDIT)
        test_register(chat.terminal "${PYTHON3};-B;${CMAKE_SOURCE_DIR}/tests/chat.py;${CMAKE_BINARY_DIR};Terminal" VK_DRIVER_FILES=${LAVAPIPE})
    endif()
endif()

# vkgpt serve, by clients on loopback
if(PYTHON3 AND EXISTS ${LAVAPIPE} AND VKGPT_SERVE)
    foreach(place serve.Http serve.Keys serve.Completions serve.Logprobs serve.Tokens serve_forms.Fields serve_forms.Bytes
            serve_forms.Begins serve_life.Page serve_life.Load serve_life.Prefill serve_life.Life serve_life.Bench)
        string(REPLACE "." ";" place ${place})
        list(GET place 0 file)
        list(GET place 1 class)
        string(TOLOWER serve.${class} name)
        test_register(${name} "${PYTHON3};-B;${CMAKE_SOURCE_DIR}/tests/${file}.py;${CMAKE_BINARY_DIR};${class}" VK_DRIVER_FILES=${LAVAPIPE} VKGPT_VALIDATE=1)
    endforeach()
    test_register(serve.long "${PYTHON3};-B;${CMAKE_SOURCE_DIR}/tests/serve_life.py;${CMAKE_BINARY_DIR};Load"
        VK_DRIVER_FILES=${LAVAPIPE} VKGPT_SERVE_SECONDS=600)
    set_tests_properties(serve.long PROPERTIES TIMEOUT 3600)
    # clients that others wrote, in a virtual environment of their own; the first one to run installs them
    foreach(client openai_client harness schema load)
        test_register(clients.${client} "${CMAKE_SOURCE_DIR}/tests/clients/run;${CMAKE_BINARY_DIR};${client}" VK_DRIVER_FILES=${LAVAPIPE})
        set_tests_properties(clients.${client} PROPERTIES TIMEOUT 3600 SKIP_RETURN_CODE 77)
    endforeach()
endif()

# 100,000 random texts with each tokenizer of the fixtures against Hugging Face's tokenizers, which a virtual environment
# brings along: python3 -m venv .venv && .venv/bin/pip install tokenizers
add_executable(tokenize_lines tools/tokenize_lines.c)
target_link_libraries(tokenize_lines PRIVATE vkgpt_lib vkgpt_flags)
set(TOKENIZERS_PYTHON ${CMAKE_SOURCE_DIR}/.venv/bin/python CACHE FILEPATH "A Python that has Hugging Face's tokenizers")
mark_as_advanced(TOKENIZERS_PYTHON)
if(EXISTS ${TOKENIZERS_PYTHON})
    add_test(NAME tokenizer_long COMMAND ${TOKENIZERS_PYTHON} -B ${CMAKE_SOURCE_DIR}/tools/fixtures_pipeline.py --long $<TARGET_FILE:tokenize_lines>)
    set_tests_properties(tokenizer_long PROPERTIES TIMEOUT 14400)
endif()

# What runs where; docs/trust.md says why. `tools/test` runs "short" in the usual build and "sanitized" in the one with
# sanitizers, .ci/run adds "ci" in the usual build, and `tools/test --all` runs every test in both. The first row whose
# expression matches a test's name has its labels. On SwiftShader a kernel takes seconds, and what the host does is the
# same: it runs the kernels, a fixture of each class, the session, and the persistent kernel, which lavapipe cannot run.
set(TEST_LABELS
#    name                                                                labels
    "^(tokenizer_long|portable|serve\\.long)$|^debian_packages           | long"
    "^(install|python|abi|api_doc|setup_packages)$                      | short"
    "^mpi\\.faults$                                                       | short"
    "^mpi\\.                                                             | ci"
    "^gpu_suite\\.rehearsal$|^vendor_stats\\.(amd|intel)$|^clients\\.   | ci"
    "^serve\\.load$                                                       | short ci" # 32 clients: 10 seconds, and a minute
    "^docs$|^(chat|explain|serve)\\.|^gpu_suite|^vendor_stats                 | short"
    "^gpu_(cli_selftest|persistent)\\.lavapipe$                         | ci"
    "^fuzz\\.|^gpu_(faults|malloc)\\.lavapipe$                           | sanitized ci" # once, where more is seen
    "^gpu_(device|heads|plan|session|session_logits)\\.lavapipe$        | sanitized ci"
    "^gpu_(batch|deterministic|formats|kernels|quick|stages)\\.lavapipe$ | short ci" # a part of it, and all
    "\\.(lavapipe|native)$                                              | short"
    "^gpu_persistent\\.                                                 | short ci"
    "^gpu_(device|kernels|model|session|session_logits)\\.              | short" # SwiftShader's
    "^gpu_(cli_interrupt|deterministic|heads|heads_cli|plan|score|tune_cli)\\. | ci"
    "^gpu_                                                              | "
    "^(bounds|reference|sizes|includes|way|coopmat_current)$            | short" # of this build, or of the source
    "                                                                   | sanitized ci") # the host's: once, likewise

function(test_label test)
    foreach(row ${TEST_LABELS})
        string(REGEX MATCH "^(.*[^ ])? *[|] ([a-z ]*)$" row "${row}")
        string(REPLACE " " ";" labels "${CMAKE_MATCH_2}")
        if(test MATCHES "${CMAKE_MATCH_1}")
            set_tests_properties(${test} PROPERTIES LABELS "${labels}")
            return()
        endif()
    endforeach()
endfunction()

get_property(tests DIRECTORY PROPERTY TESTS)
foreach(test ${tests})
    test_label(${test})
endforeach()

# The longest, with roughly their seconds: they begin first, so that all jobs end together.
foreach(cost gpu_kernels.swiftshader=130 gpu_kernels.lavapipe=60 gpu_batch.lavapipe=65 docs=65 gpu_session.swiftshader=30
        gpu_persistent.swiftshader=45 gpu_deterministic.lavapipe=50 gpu_stages.lavapipe=40 gpu_cli_disk.lavapipe=40
        gpu_quick.lavapipe=20 gpu_faults.lavapipe=50 cli_convert=50)
    string(REPLACE "=" ";" cost ${cost})
    list(GET cost 0 test)
    list(GET cost 1 seconds)
    if(TEST ${test})
        set_tests_properties(${test} PROPERTIES COST ${seconds})
    endif()
endforeach()
