// A program outside of the tree, in C11 and in C++17: it uses the header's macros, an own function named fail, and,
// with OWN_VULKAN, Vulkan calls of its own before and after the library's.
//     app MODEL
#include <vkgpt.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef OWN_VULKAN
#include <vulkan/vulkan.h>

static void use_vulkan(void)
{
    VkInstance instance;
    VkInstanceCreateInfo info;
    uint32_t count = 0;
    memset(&info, 0, sizeof info);
    info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
    if (vkCreateInstance(&info, NULL, &instance) != VK_SUCCESS) abort();
    if (vkEnumeratePhysicalDevices(instance, &count, NULL) != VK_SUCCESS || !count) abort();
    vkDestroyInstance(instance, NULL);
}
#else
static void use_vulkan(void) {}
#endif

// names that the library has inside, of other kinds
int fail(const char *text);
int json_parse = 7;

int fail(const char *text)
{
    fprintf(stderr, "%s\n", text);
    exit(EXIT_FAILURE);
}

static vkgpt_error err;

static void check(int code)
{
    if (code) fail(err.text);
}

static bool count_tokens(void *user, uint32_t id)
{
    (void)id;
    ++*(int *)user;
    return true;
}

int main(int argc, char **argv)
{
    vkgpt_device *device;
    vkgpt_model *model;
    vkgpt_session *session;
    vkgpt_sampling sampling = VKGPT_SAMPLING_DEFAULT;
    const uint32_t ids[] = {1, 2, 3};
    int tokens = 0;
    if (argc != 2 || VKGPT_VERSION_NUMBER < 100 || strcmp(vkgpt_version(), VKGPT_VERSION) != 0)
        fail("usage: app MODEL");
    use_vulkan();
    check(vkgpt_device_open(NULL, &device, &err));
    check(vkgpt_model_open(device, argv[1], NULL, &model, &err));
    check(vkgpt_session_open(model, NULL, &session, &err));
    sampling.ignore_eos = true;
    check(vkgpt_prompt(session, ids, 3, &err));
    check(vkgpt_generate(session, &sampling, 2, count_tokens, &tokens, NULL, &err));
    use_vulkan();
    vkgpt_session_close(session);
    vkgpt_model_close(model);
    vkgpt_device_close(device);
    if (tokens != 2 || json_parse != 7) fail("tokens are missing");
    printf("good\n");
    return EXIT_SUCCESS;
}
