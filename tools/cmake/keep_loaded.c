// Linked into sanitizer builds only. The Vulkan loader unloads drivers, and LeakSanitizer can then neither name
// what they keep for themselves nor suppress it: so nothing is unloaded.
int dlclose(void *handle);

int dlclose(void *handle)
{
    (void)handle;
    return 0;
}
