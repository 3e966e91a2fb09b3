# The program `vkgpt`, and what it writes about itself: the man page and the shells' completions.

# all but main.c is a library, so that tests reach its parts
file(GLOB PROGRAM_SOURCES CONFIGURE_DEPENDS src/cli/*.c)
list(REMOVE_ITEM PROGRAM_SOURCES ${CMAKE_SOURCE_DIR}/src/cli/main.c)

# a page for the browser, as a C string
function(page_text file name folder)
    set(folder ${CMAKE_SOURCE_DIR}/src/${folder})
    add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/${file}
        COMMAND ${CMAKE_COMMAND} -DFOLDER=${folder} -DNAME=${name} -DOUT=${CMAKE_BINARY_DIR}/${file} -P ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/page.cmake
        DEPENDS ${folder}/page.html ${folder}/page.css ${folder}/page.js ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/page.cmake
        COMMENT "the page of src/${folder}" VERBATIM)
endfunction()
page_text(explain_page_text.c EXPLAIN_PAGE cli/explain)
add_library(vkgpt_cli STATIC ${PROGRAM_SOURCES} ${CMAKE_BINARY_DIR}/explain_page_text.c)
target_link_libraries(vkgpt_cli PUBLIC vkgpt_tasks PRIVATE vkgpt_flags)

# downloads from the Hugging Face hub
if(VKGPT_PULL)
    file(GLOB HUB_SOURCES CONFIGURE_DEPENDS src/hub/*.c)
    add_library(vkgpt_hub STATIC ${HUB_SOURCES})
    target_include_directories(vkgpt_hub SYSTEM PRIVATE ${CURL_INCLUDE} ${MD_INCLUDE})
    target_link_libraries(vkgpt_hub PUBLIC vkgpt_tasks ${CURL_LIBRARY} ${MD_LIBRARY} PRIVATE vkgpt_flags)
    target_compile_definitions(vkgpt_cli PRIVATE VKGPT_WITH_CURL)
    target_link_libraries(vkgpt_cli PUBLIC vkgpt_hub)
endif()
# the server
if(VKGPT_SERVE)
    file(GLOB SERVE_SOURCES CONFIGURE_DEPENDS src/serve/*.c)
    page_text(serve_page_text.c SERVE_PAGE serve/page)
    add_library(vkgpt_serve STATIC ${SERVE_SOURCES} ${CMAKE_BINARY_DIR}/serve_page_text.c)
    target_include_directories(vkgpt_serve SYSTEM PRIVATE ${MICROHTTPD_INCLUDE})
    target_link_libraries(vkgpt_serve PUBLIC vkgpt_tasks ${MICROHTTPD_LIBRARY} PRIVATE vkgpt_flags)
    target_compile_definitions(vkgpt_cli PRIVATE VKGPT_WITH_MICROHTTPD)
    target_link_libraries(vkgpt_cli PUBLIC vkgpt_serve)
endif()
if(VKGPT_EDIT)
    target_compile_definitions(vkgpt_cli PRIVATE VKGPT_WITH_EDIT)
    target_include_directories(vkgpt_cli SYSTEM PRIVATE ${EDIT_INCLUDE})
    target_link_libraries(vkgpt_cli PUBLIC ${EDIT_LIBRARY})
endif()
file(RELATIVE_PATH DATA_FROM_BIN ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_DATADIR}/vkgpt)
target_compile_definitions(vkgpt_cli PRIVATE VKGPT_DATA_FROM_BIN="${DATA_FROM_BIN}")

add_executable(vkgpt src/cli/main.c)
target_link_libraries(vkgpt PRIVATE vkgpt_cli vkgpt_flags)

# a model over the ranks of MPI: of the program, or where only the tests want it, of one beside it
function(program_over_ranks program)
    target_sources(${program} PRIVATE src/cli/ranks/under_mpi.c)
    target_link_libraries(${program} PRIVATE vkgpt_mpi)
    target_compile_definitions(${program} PRIVATE VKGPT_WITH_MPI)
endfunction()
if(VKGPT_MPI OR (VKGPT_TESTS AND MPI_C_FOUND AND NOT VKGPT_SANITIZE))
    file(GLOB MPI_SOURCES CONFIGURE_DEPENDS src/mpi/*.c)
    add_library(vkgpt_mpi STATIC ${MPI_SOURCES})
    target_link_libraries(vkgpt_mpi PUBLIC vkgpt_lib MPI::MPI_C PRIVATE vkgpt_flags)
endif()
if(VKGPT_MPI)
    program_over_ranks(vkgpt)
elseif(TARGET vkgpt_mpi)
    add_executable(vkgpt_ranks src/cli/main.c)
    target_link_libraries(vkgpt_ranks PRIVATE vkgpt_cli vkgpt_flags)
    program_over_ranks(vkgpt_ranks)
endif()

# the build tree looks like an installed one to the program: share/vkgpt beside it
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/share/vkgpt)
file(CREATE_LINK ${CMAKE_SOURCE_DIR}/models ${CMAKE_BINARY_DIR}/share/vkgpt/models SYMBOLIC)

install(TARGETS vkgpt RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)

# one file per command, each the program's own words
set(WRITTEN "")
function(program_writes file destination)
    add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/${file}
        COMMAND vkgpt help ${ARGN} > ${CMAKE_BINARY_DIR}/${file} DEPENDS vkgpt VERBATIM)
    set(WRITTEN ${WRITTEN} ${CMAKE_BINARY_DIR}/${file} PARENT_SCOPE)
    install(FILES ${CMAKE_BINARY_DIR}/${file} DESTINATION ${destination} COMPONENT program)
endfunction()

if(NOT CMAKE_CROSSCOMPILING)
    file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/completions)
    program_writes(vkgpt.1 ${CMAKE_INSTALL_MANDIR}/man1 --man)
    program_writes(completions/vkgpt ${CMAKE_INSTALL_DATADIR}/bash-completion/completions --completions bash)
    program_writes(completions/_vkgpt ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions --completions zsh)
    program_writes(completions/vkgpt.fish ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d --completions fish)
    add_custom_target(vkgpt_manual ALL DEPENDS ${WRITTEN})
endif()
