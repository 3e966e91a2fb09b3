# shaders/*.comp -> SPIR-V, validated, optimised, validated again -> arrays in kernels_spirv.c, as
# src/gpu/spirv.h declares them. A kernel's name is its file's stem. A line `// variants: - SOFTWARE PREFILL+SOFTWARE` in
# the file asks for one compile each: with nothing defined, with SOFTWARE (name_software), with both (name_prefill_software).
#
# GLSL's cooperative matrices want glslang 13, which Debian 12 does not have: where the compiler does not know them, the
# SPIR-V of the COOPMAT variants is what tools/coopmat made of the same source text and put into shaders/coopmat. Text
# that has changed since leaves all of them out.

set(VKGPT_SPIRV "" CACHE PATH "The folder spirv of another build of the same sources, whose kernels are taken instead of compiled")
mark_as_advanced(VKGPT_SPIRV)

set(SHADER_DIR ${CMAKE_SOURCE_DIR}/shaders)
set(SPIRV_DIR ${CMAKE_BINARY_DIR}/spirv)
if(VKGPT_SPIRV)
    set(SPIRV_DIR ${VKGPT_SPIRV})
endif()
set(EMBED_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/embed.cmake)
set(SHADER_ENV vulkan1.2)
set(COOPMAT_DIR ${SHADER_DIR}/coopmat)

# Whether the compiler and the validator know cooperative matrices.
function(shader_coopmat_check known)
    file(WRITE ${SPIRV_DIR}/coopmat.comp
"#version 460
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseA> a;
void main() { a = coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseA>(0.0); }
")
    execute_process(RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET
        COMMAND ${GLSLANG} --quiet --target-env ${SHADER_ENV} -o ${SPIRV_DIR}/coopmat.spv ${SPIRV_DIR}/coopmat.comp)
    if(NOT failed)
        execute_process(RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET
            COMMAND ${SPIRV_VAL} --target-env ${SHADER_ENV} ${SPIRV_DIR}/coopmat.spv)
    endif()
    if(failed)
        set(${known} NO PARENT_SCOPE)
    else()
        set(${known} YES PARENT_SCOPE)
    endif()
endfunction()

# A line "<sha256>  <name>" of what the preprocessor makes of a variant, whatever blanks it leaves.
function(shader_fingerprint line source name defines)
    execute_process(COMMAND ${GLSLANG} -E -I${SHADER_DIR} ${defines} ${source} OUTPUT_VARIABLE text COMMAND_ERROR_IS_FATAL ANY)
    string(REGEX REPLACE "#line[^\n]*" "" text "${text}")
    string(REGEX REPLACE "[ \t\r\n]" "" text "${text}")
    string(SHA256 hash "${text}")
    set(${line} "${hash}  ${name}\n" PARENT_SCOPE)
endfunction()

# One variant of a shader: SPIRV_DIR/<name>.inc, the words of its SPIR-V as a C initialiser. Those with DETERMINISTIC have
# nothing in them whose result a device may round in its own way.
function(shader_compile source name defines)
    set(raw ${SPIRV_DIR}/${name}.raw.spv)
    set(optimised ${SPIRV_DIR}/${name}.spv)
    set(marks "")
    set(checks "")
    if("-DCOOPMAT" IN_LIST defines)
        set(marks COMMAND spirv_barriers ${raw} ${raw})
    elseif("-DDETERMINISTIC" IN_LIST defines)
        set(marks COMMAND spirv_exact mark ${raw} ${raw})
        set(checks COMMAND spirv_exact check ${optimised})
    endif()
    add_custom_command(OUTPUT ${SPIRV_DIR}/${name}.inc
        COMMAND ${GLSLANG} --quiet --target-env ${SHADER_ENV} -I${SHADER_DIR} ${defines} -o ${raw} ${source}
        ${marks}
        COMMAND ${SPIRV_VAL} --target-env ${SHADER_ENV} ${raw}
        COMMAND ${SPIRV_OPT} --target-env=${SHADER_ENV} -O -o ${optimised} ${raw}
        COMMAND ${SPIRV_VAL} --target-env ${SHADER_ENV} ${optimised}
        ${checks}
        COMMAND ${CMAKE_COMMAND} -DIN=${optimised} -DOUT=${SPIRV_DIR}/${name}.inc -P ${EMBED_SCRIPT}
        DEPENDS ${source} ${SHADER_INCLUDES} ${EMBED_SCRIPT}
        COMMENT "Shader ${name}" VERBATIM)
endfunction()

# One of shaders/coopmat.
function(shader_take name)
    set(taken ${COOPMAT_DIR}/${name}.spv)
    add_custom_command(OUTPUT ${SPIRV_DIR}/${name}.inc
        COMMAND ${CMAKE_COMMAND} -DIN=${taken} -DOUT=${SPIRV_DIR}/${name}.inc -P ${EMBED_SCRIPT}
        DEPENDS ${taken} ${EMBED_SCRIPT} COMMENT "Shader ${name}, as it is in shaders/coopmat" VERBATIM)
endfunction()

# Compiles every shader and adds the arrays to a library, or takes those of VKGPT_SPIRV.
function(shaders_embed target)
    if(VKGPT_SPIRV)
        target_sources(${target} PRIVATE ${SPIRV_DIR}/kernels_spirv.c)
        target_include_directories(${target} PRIVATE ${SPIRV_DIR})
        return()
    endif()
    file(MAKE_DIRECTORY ${SPIRV_DIR})
    file(GLOB sources CONFIGURE_DEPENDS ${SHADER_DIR}/*.comp)
    file(GLOB SHADER_INCLUDES CONFIGURE_DEPENDS ${SHADER_DIR}/*.glsl ${SHADER_DIR}/*.h)
    shader_coopmat_check(knows_coopmat)
    add_executable(spirv_barriers EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/tools/spirv_barriers.c)
    add_executable(spirv_exact EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/tools/spirv_exact.c)
    set(names "")
    set(coopmat_names "")
    set(coopmat_sources "")
    foreach(source ${sources})
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
        cmake_path(GET source STEM stem)
        file(STRINGS ${source} line REGEX "^// variants: ")
        string(REGEX REPLACE "^// variants: +" "" variants "${line}")
        string(REPLACE " " ";" variants "${variants}")
        if(NOT variants)
            set(variants "-")
        endif()
        foreach(variant ${variants})
            set(name ${stem})
            set(defines "")
            if(NOT variant STREQUAL "-")
                string(REPLACE "+" ";" defines "${variant}")
                list(JOIN defines "_" suffix)
                string(TOLOWER "${stem}_${suffix}" name)
                list(TRANSFORM defines PREPEND "-D")
            endif()
            if("-DCOOPMAT" IN_LIST defines)
                shader_fingerprint(line ${source} ${name} "${defines}")
                string(APPEND coopmat_sources "${line}")
                list(APPEND coopmat_names ${name})
                if(NOT knows_coopmat)
                    shader_take(${name})
                    continue()
                endif()
            endif()
            shader_compile(${source} ${name} "${defines}")
            list(APPEND names ${name})
        endforeach()
    endforeach()
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${SHADER_INCLUDES} ${COOPMAT_DIR}/sources.sha256)
    file(WRITE ${SPIRV_DIR}/coopmat.sha256 "${coopmat_sources}")
    if(NOT knows_coopmat)
        set(taken_sources "")
        if(EXISTS ${COOPMAT_DIR}/sources.sha256)
            file(READ ${COOPMAT_DIR}/sources.sha256 taken_sources)
        endif()
        if(taken_sources STREQUAL coopmat_sources)
            list(APPEND names ${coopmat_names})
            message(STATUS "Cooperative matrices: ${GLSLANG} does not know them; taken from shaders/coopmat")
        else()
            message(WARNING "Cooperative matrices are left out: ${GLSLANG} does not know them, and shaders/coopmat was "
                "made of other sources. tools/coopmat makes it anew.")
        endif()
    endif()
    list(SORT names)

    set(arrays "")
    set(rows "")
    set(includes "")
    list(LENGTH names count)
    foreach(name ${names})
        string(TOUPPER ${name} upper)
        set(array KERNEL_${upper}_SPIRV)
        string(APPEND arrays "static const uint32_t ${array}[] = {\n#include \"${name}.inc\"\n};\n")
        string(APPEND rows "    {\"${name}\", ${array}, sizeof ${array}},\n")
        list(APPEND includes ${SPIRV_DIR}/${name}.inc)
    endforeach()
    if(count EQUAL 0)
        set(rows "    {0},\n")
    endif()
    set(table ${SPIRV_DIR}/kernels_spirv.c)
    file(CONFIGURE OUTPUT ${table} @ONLY CONTENT
"// Made by tools/cmake/Shaders.cmake: the SPIR-V of every kernel.
#include \"gpu/spirv.h\"

@arrays@
const struct Spirv SPIRV_TABLE[] = {
@rows@};
const size_t SPIRV_COUNT = @count@;
")
    set_source_files_properties(${table} PROPERTIES OBJECT_DEPENDS "${includes}")
    target_sources(${target} PRIVATE ${table})
    target_include_directories(${target} PRIVATE ${SPIRV_DIR})
endfunction()
