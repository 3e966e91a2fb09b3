// What the kernels that multiply matrices by the device's own means share (VK_KHR_cooperative_matrix). The extension
// asks for Vulkan's memory model. There, these barriers make what lanes have stored to shared memory seen by all of
// them; the accesses themselves do not (tools/spirv_barriers.c).
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require

#define SEE_ALL (gl_SemanticsAcquireRelease | gl_SemanticsMakeAvailable | gl_SemanticsMakeVisible)
#define workgroup_barrier() controlBarrier(gl_ScopeWorkgroup, gl_ScopeWorkgroup, gl_StorageSemanticsShared, SEE_ALL)
#define subgroup_barrier() controlBarrier(gl_ScopeSubgroup, gl_ScopeSubgroup, gl_StorageSemanticsShared, SEE_ALL)
