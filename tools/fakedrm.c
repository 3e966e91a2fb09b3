// A fake DRM render node, for Mesa's driver ANV to compile on: answers what ANV asks of libdrm and of the kernel's i915
// interface, gives it ordinary memory, and runs nothing. FAKE_INTEL is the PCI id in hex (56a0: Arc A770); if it is not
// set there is no device. It is a shared library, linked to or in LD_PRELOAD, so that its functions come before those
// of libdrm and of the C library. Written for Mesa 22.3; later versions ask for more.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <i915_drm.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xf86drm.h>

#define NODE "/dev/dri/renderD128"
#define MAX_FILES 4096
#define MEMORY_BYTES (8ull << 30)
#define ADDRESS_BYTES (1ull << 48)

// The ioctls of DRM itself, by number.
enum { DRM_VERSION = 0x00, DRM_GET_CAP = 0x0c, DRM_SYNCOBJ_CREATE = 0xbf };

static bool is_node[MAX_FILES]; // file descriptors of the render node
static uint32_t objects;        // memory objects made so far; a handle is a number from 1 on

static drmPciBusInfo bus = {.dev = 2};
static drmPciDeviceInfo pci = {.vendor_id = 0x8086, .subvendor_id = 0x8086, .subdevice_id = 1};
static char node_path[] = NODE, primary_path[] = "/dev/dri/card0";
static char *nodes[DRM_NODE_MAX] = {[DRM_NODE_PRIMARY] = primary_path, [DRM_NODE_RENDER] = node_path};
static drmDevice device = {
    .nodes = nodes,
    .available_nodes = 1 << DRM_NODE_RENDER,
    .bustype = DRM_BUS_PCI,
    .businfo.pci = &bus,
    .deviceinfo.pci = &pci,
};

// ------------------------------------------------------------------------------------------- libdrm

static bool device_asked_for(void)
{
    const char *id = getenv("FAKE_INTEL");
    if (id) pci.device_id = (uint16_t)strtoul(id, NULL, 16);
    return id != NULL;
}

int drmGetDevices2(uint32_t flags, drmDevicePtr devices[], int max)
{
    (void)flags;
    if (!device_asked_for()) return 0;
    if (devices && max > 0) devices[0] = &device;
    return 1;
}

int drmGetDevice2(int fd, uint32_t flags, drmDevicePtr *found)
{
    (void)fd, (void)flags;
    if (!device_asked_for()) return -ENODEV;
    *found = &device;
    return 0;
}

void drmFreeDevice(drmDevicePtr *freed) { *freed = NULL; }
void drmFreeDevices(drmDevicePtr devices[], int count) { (void)devices, (void)count; }

// ------------------------------------------------------------------------------------ the file of the node

static int node_open(void)
{
    int fd = memfd_create("fake i915", MFD_CLOEXEC);
    if (fd >= 0 && fd < MAX_FILES) is_node[fd] = true;
    return fd;
}

int open64(const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    mode_t mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(list, mode_t) : 0;
    va_end(list);
    return strcmp(path, NODE) ? (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode) : node_open();
}

int open(const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    mode_t mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(list, mode_t) : 0;
    va_end(list);
    return open64(path, flags, mode);
}

int close(int fd)
{
    if (fd >= 0 && fd < MAX_FILES) is_node[fd] = false;
    return (int)syscall(SYS_close, fd);
}

// Memory objects are mapped as fresh pages: nothing reads what another mapping wrote.
void *mmap64(void *address, size_t size, int protection, int flags, int fd, off64_t offset)
{
    if (fd >= 0 && fd < MAX_FILES && is_node[fd]) {
        flags = MAP_PRIVATE | MAP_ANONYMOUS | (flags & MAP_FIXED);
        fd = -1, offset = 0;
    }
    return (void *)syscall(SYS_mmap, address, size, protection, flags, fd, offset);
}

// ------------------------------------------------------------------------------------- what i915 is asked

static int fail_with(int error)
{
    errno = error;
    return -1;
}

static int parameter(int which)
{
    switch (which) {
    case I915_PARAM_CHIPSET_ID: return pci.device_id;
    case I915_PARAM_REVISION: return 8;
    case I915_PARAM_CS_TIMESTAMP_FREQUENCY: return 19200000;
    case I915_PARAM_MMAP_VERSION:
    case I915_PARAM_MMAP_GTT_VERSION: return 4;
    case I915_PARAM_HAS_ALIASING_PPGTT: return 3;
    default: return 1; // it has every other feature
    }
}

struct Topology {
    uint32_t slices, subslices, eus;
};

static struct Topology topology(void)
{
    switch (pci.device_id) {
    case 0x56a0: return (struct Topology){1, 32, 16}; // Arc A770
    case 0x9a49: return (struct Topology){1, 6, 16};  // Tiger Lake
    default: return (struct Topology){1, 8, 8};
    }
}

static int topology_query(struct drm_i915_query_topology_info *info, int room)
{
    struct Topology t = topology();
    uint32_t stride = (t.subslices + 7) / 8, eu_stride = (t.eus + 7) / 8;
    int size = (int)(sizeof *info + 1 + t.slices * stride + t.slices * t.subslices * eu_stride);
    if (!room) return size;
    if (room < size) return -EINVAL;
    *info = (struct drm_i915_query_topology_info){
        .max_slices = (uint16_t)t.slices,
        .max_subslices = (uint16_t)t.subslices,
        .max_eus_per_subslice = (uint16_t)t.eus,
        .subslice_offset = 1,
        .subslice_stride = (uint16_t)stride,
        .eu_offset = (uint16_t)(1 + t.slices * stride),
        .eu_stride = (uint16_t)eu_stride,
    };
    info->data[0] = (uint8_t)((1u << t.slices) - 1);
    for (uint32_t s = 0; s < t.slices; s++)
        for (uint32_t u = 0; u < t.subslices; u++) {
            info->data[1 + s * stride + u / 8] |= (uint8_t)(1u << u % 8);
            for (uint32_t e = 0; e < t.eus; e++)
                info->data[info->eu_offset + (s * t.subslices + u) * eu_stride + e / 8] |= (uint8_t)(1u << e % 8);
        }
    return size;
}

static int engines_query(struct drm_i915_query_engine_info *info, int room)
{
    int size = (int)(sizeof *info + sizeof *info->engines);
    if (!room) return size;
    if (room < size) return -EINVAL;
    info->num_engines = 1;
    info->engines[0].engine.engine_class = I915_ENGINE_CLASS_RENDER;
    return size;
}

// The system's memory, and if the device is a card also its own.
static int regions_query(struct drm_i915_query_memory_regions *info, int room)
{
    int size = (int)(sizeof *info + 2 * sizeof *info->regions);
    if (!room) return size;
    if (room < size) return -EINVAL;
    bool card = pci.device_id >> 8 == 0x56;
    info->num_regions = card ? 2 : 1;
    for (uint32_t i = 0; i < info->num_regions; i++) {
        info->regions[i].region.memory_class = (uint16_t)(i ? I915_MEMORY_CLASS_DEVICE : I915_MEMORY_CLASS_SYSTEM);
        info->regions[i].probed_size = info->regions[i].unallocated_size = MEMORY_BYTES;
    }
    return size;
}

static int query(struct drm_i915_query *asked)
{
    struct drm_i915_query_item *items = (void *)(uintptr_t)asked->items_ptr;
    for (uint32_t i = 0; i < asked->num_items; i++) {
        void *data = (void *)(uintptr_t)items[i].data_ptr;
        int room = items[i].length;
        switch (items[i].query_id) {
        case DRM_I915_QUERY_TOPOLOGY_INFO:
        case DRM_I915_QUERY_GEOMETRY_SUBSLICES: items[i].length = topology_query(data, room); break;
        case DRM_I915_QUERY_ENGINE_INFO: items[i].length = engines_query(data, room); break;
        case DRM_I915_QUERY_MEMORY_REGIONS: items[i].length = regions_query(data, room); break;
        default: items[i].length = -EINVAL;
        }
    }
    return 0;
}

static int context_parameter(struct drm_i915_gem_context_param *p)
{
    if (p->param == I915_CONTEXT_PARAM_VM) return fail_with(EINVAL);
    p->value = p->param == I915_CONTEXT_PARAM_GTT_SIZE ? ADDRESS_BYTES : 0;
    return 0;
}

static int i915(unsigned number, unsigned size, void *arg)
{
    switch (number) {
    case DRM_I915_GETPARAM: {
        drm_i915_getparam_t *p = arg;
        *p->value = parameter(p->param);
        return 0;
    }
    case DRM_I915_QUERY: return query(arg);
    case DRM_I915_GEM_CREATE:
    case DRM_I915_GEM_CREATE_EXT: ((struct drm_i915_gem_create *)arg)->handle = ++objects; return 0; // both begin alike
    case DRM_I915_GEM_USERPTR: ((struct drm_i915_gem_userptr *)arg)->handle = ++objects; return 0;
    case DRM_I915_GEM_MMAP: // MMAP_OFFSET has this number too: ANV may use either, and uses that one
        if (size != sizeof(struct drm_i915_gem_mmap_offset)) return fail_with(ENODEV);
        ((struct drm_i915_gem_mmap_offset *)arg)->offset = 0;
        return 0;
    case DRM_I915_GEM_CONTEXT_CREATE: ((struct drm_i915_gem_context_create *)arg)->ctx_id = 1; return 0;
    case DRM_I915_GEM_CONTEXT_GETPARAM: return context_parameter(arg);
    case DRM_I915_GEM_VM_CREATE: ((struct drm_i915_gem_vm_control *)arg)->vm_id = 1; return 0;
    case DRM_I915_GEM_GET_APERTURE: {
        struct drm_i915_gem_get_aperture *a = arg;
        a->aper_size = a->aper_available_size = ADDRESS_BYTES;
        return 0;
    }
    case DRM_I915_GEM_GET_TILING: return fail_with(EOPNOTSUPP);
    default: return 0;
    }
}

static int drm(unsigned number, void *arg)
{
    switch (number) {
    case DRM_VERSION: {
        struct drm_version *v = arg;
        if (v->name && v->name_len >= 4) memcpy(v->name, "i915", 4);
        v->version_major = 1, v->version_minor = 6;
        v->name_len = 4, v->date_len = v->desc_len = 0;
        return 0;
    }
    case DRM_GET_CAP: ((struct drm_get_cap *)arg)->value = 1; return 0;
    case DRM_SYNCOBJ_CREATE: ((struct drm_syncobj_create *)arg)->handle = 1; return 0;
    default: return 0;
    }
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list list;
    va_start(list, request);
    void *arg = va_arg(list, void *);
    va_end(list);
    if (fd < 0 || fd >= MAX_FILES || !is_node[fd]) return (int)syscall(SYS_ioctl, fd, request, arg);
    unsigned number = request & 0xff, size = request >> 16 & 0x3fff;
    if (number < DRM_COMMAND_BASE || number >= DRM_COMMAND_END) return drm(number, arg);
    return i915(number - DRM_COMMAND_BASE, size, arg);
}
