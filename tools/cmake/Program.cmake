# The program `vkgpt`, and what it writes about itself: the man page and the shells' completions.

add_executable(vkgpt ${PROGRAM_SOURCES})
target_link_libraries(vkgpt PRIVATE vkgpt_lib vkgpt_flags)
file(RELATIVE_PATH DATA_FROM_BIN ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_DATADIR}/vkgpt)
target_compile_definitions(vkgpt PRIVATE VKGPT_DATA_FROM_BIN="${DATA_FROM_BIN}")

# the build tree looks like an installed one to the program: share/vkgpt beside it
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/share/vkgpt)
file(CREATE_LINK ${CMAKE_SOURCE_DIR}/models ${CMAKE_BINARY_DIR}/share/vkgpt/models SYMBOLIC)

install(TARGETS vkgpt RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
