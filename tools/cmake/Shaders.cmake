# shaders/*.comp -> SPIR-V, validated, optimised, validated again -> arrays in kernels_spirv.c, as
# src/gpu/spirv.h declares them. A kernel's name is its file's stem. A line `// variants: - LANES PREFILL+LANES` in
# the file asks for one compile each: with nothing defined, with LANES (name_lanes), with both (name_prefill_lanes).

set(SHADER_DIR ${CMAKE_SOURCE_DIR}/shaders)
set(SPIRV_DIR ${CMAKE_BINARY_DIR}/spirv)
set(EMBED_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/embed.cmake)
set(SHADER_ENV vulkan1.2)

# One variant of a shader: SPIRV_DIR/<name>.inc, the words of its SPIR-V as a C initialiser.
function(shader_compile source name defines)
    set(raw ${SPIRV_DIR}/${name}.raw.spv)
    set(optimised ${SPIRV_DIR}/${name}.spv)
    add_custom_command(OUTPUT ${SPIRV_DIR}/${name}.inc
        COMMAND ${GLSLANG} --quiet --target-env ${SHADER_ENV} -I${SHADER_DIR} ${defines} -o ${raw} ${source}
        COMMAND ${SPIRV_VAL} --target-env ${SHADER_ENV} ${raw}
        COMMAND ${SPIRV_OPT} --target-env=${SHADER_ENV} -O -o ${optimised} ${raw}
        COMMAND ${SPIRV_VAL} --target-env ${SHADER_ENV} ${optimised}
        COMMAND ${CMAKE_COMMAND} -DIN=${optimised} -DOUT=${SPIRV_DIR}/${name}.inc -P ${EMBED_SCRIPT}
        DEPENDS ${source} ${SHADER_INCLUDES} ${EMBED_SCRIPT}
        COMMENT "Shader ${name}" VERBATIM)
endfunction()

# Compiles every shader and adds the arrays to a library.
function(shaders_embed target)
    file(MAKE_DIRECTORY ${SPIRV_DIR})
    file(GLOB sources CONFIGURE_DEPENDS ${SHADER_DIR}/*.comp)
    file(GLOB SHADER_INCLUDES CONFIGURE_DEPENDS ${SHADER_DIR}/*.glsl ${SHADER_DIR}/*.h)
    set(names "")
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
            shader_compile(${source} ${name} "${defines}")
            list(APPEND names ${name})
        endforeach()
    endforeach()
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
