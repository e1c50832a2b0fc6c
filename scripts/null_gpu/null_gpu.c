/*
 * A Vulkan layer that opens a GPU which is not there. Mesa's RADV has a "null" device (RADV_FORCE_FAMILY) whose
 * compiler is real and whose queue is not: above it, this layer answers every command with success and runs nothing.
 * So Dawn opens, e.g., a Radeon RX 7900, validates against its limits, and compiles every pipeline to its machine
 * code; results are whatever lay in memory.
 *
 * Environment:
 *   NULL_GPU_STATS    a file that gets a line of JSON for each pipeline, what the driver's compiler says of it
 *                     (VK_KHR_pipeline_executable_properties); in the order of their creation, as Dawn passes no labels
 *   NULL_GPU_CODE     beside it a folder that gets the code, from NIR to machine code, as 000.txt, 001.txt, …, below a line
 *                     that tells the GPU and the lanes of a subgroup, e.g. "==== navi31, 64 lanes"
 *   NULL_GPU_GIB      memory of the GPU, beyond which allocations fail; 24 by default
 *   NULL_GPU_LOSE_AT  the submission at which the device is lost
 * See layer.ts, which builds it, and ../as_gpu.ts, which runs a command above it.
 */
#define VK_NO_PROTOTYPES
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

static PFN_vkGetInstanceProcAddr next_instance;
static PFN_vkGetDeviceProcAddr next_device;
static VkInstance instance;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static VkResult succeed(void) { return VK_SUCCESS; }
static VkResult submit(void) {
  static int count;
  const char *at = getenv("NULL_GPU_LOSE_AT");
  return at && ++count >= atoi(at) ? VK_ERROR_DEVICE_LOST : VK_SUCCESS;
}
static void ignore(void) {}

/* --- what a pipeline was compiled to --------------------------------------------------------------------------- */

static void write_text(FILE *f, const char *text) {
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') fputc('\\', f);
    if ((unsigned char)*text >= 32) fputc(*text, f);
  }
}

static void tell(VkDevice device, VkPipeline pipeline) {
  const char *path = getenv("NULL_GPU_STATS");
  if (!path) return;
  PFN_vkGetPipelineExecutablePropertiesKHR properties =
      (void *)next_device(device, "vkGetPipelineExecutablePropertiesKHR");
  PFN_vkGetPipelineExecutableStatisticsKHR statistics =
      (void *)next_device(device, "vkGetPipelineExecutableStatisticsKHR");
  PFN_vkGetPipelineExecutableInternalRepresentationsKHR representations =
      (void *)next_device(device, "vkGetPipelineExecutableInternalRepresentationsKHR");
  if (!properties || !statistics) return;
  pthread_mutex_lock(&lock);
  VkPipelineInfoKHR info = {VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, NULL, pipeline};
  uint32_t count = 1;
  VkPipelineExecutablePropertiesKHR property = {VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR};
  properties(device, &info, &count, &property);
  VkPipelineExecutableInfoKHR executable = {VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, NULL, pipeline, 0};
  uint32_t n = 0;
  statistics(device, &executable, &n, NULL);
  VkPipelineExecutableStatisticKHR *all = calloc(n, sizeof *all);
  for (uint32_t i = 0; i < n; i++) all[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
  statistics(device, &executable, &n, all);
  FILE *f = fopen(path, "a");
  if (f) {
    fprintf(f, "{\"Subgroup size\":%u", property.subgroupSize);
    for (uint32_t i = 0; i < n; i++) {
      fprintf(f, ",\"");
      write_text(f, all[i].name);
      fprintf(f, "\":");
      if (all[i].format == VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR) fprintf(f, "%g", all[i].value.f64);
      else fprintf(f, "%llu", (unsigned long long)all[i].value.u64);
    }
    fprintf(f, "}\n");
    fclose(f);
  }
  free(all);
  const char *folder = getenv("NULL_GPU_CODE");
  if (folder && representations) {
    uint32_t m = 0;
    representations(device, &executable, &m, NULL);
    VkPipelineExecutableInternalRepresentationKHR *texts = calloc(m, sizeof *texts);
    for (uint32_t i = 0; i < m; i++)
      texts[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INTERNAL_REPRESENTATION_KHR;
    representations(device, &executable, &m, texts);
    for (uint32_t i = 0; i < m; i++) texts[i].pData = calloc(1, texts[i].dataSize + 1);
    representations(device, &executable, &m, texts);
    static int serial;
    char file[4096];
    snprintf(file, sizeof file, "%s/%03d.txt", folder, serial++);
    FILE *out = fopen(file, "w");
    const char *family = getenv("RADV_FORCE_FAMILY");
    if (out) fprintf(out, "==== %s, %u lanes\n", family ? family : "GPU", property.subgroupSize);
    for (uint32_t i = 0; i < m; i++) {
      if (out) fprintf(out, "==== %s: %s\n%s\n", texts[i].name, texts[i].description, (char *)texts[i].pData);
      free(texts[i].pData);
    }
    if (out) fclose(out);
    free(texts);
  }
  pthread_mutex_unlock(&lock);
}

static VkResult create_compute_pipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
                                         const VkComputePipelineCreateInfo *infos,
                                         const VkAllocationCallbacks *allocator, VkPipeline *pipelines) {
  PFN_vkCreateComputePipelines next = (void *)next_device(device, "vkCreateComputePipelines");
  VkComputePipelineCreateInfo *mine = malloc(count * sizeof *mine);
  memcpy(mine, infos, count * sizeof *mine);
  for (uint32_t i = 0; i < count; i++) {
    if (getenv("NULL_GPU_STATS")) mine[i].flags |= VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR;
    if (getenv("NULL_GPU_CODE")) mine[i].flags |= VK_PIPELINE_CREATE_CAPTURE_INTERNAL_REPRESENTATIONS_BIT_KHR;
  }
  VkResult result = next(device, cache, count, mine, allocator, pipelines);
  for (uint32_t i = 0; result == VK_SUCCESS && i < count; i++) tell(device, pipelines[i]);
  free(mine);
  return result;
}

/* --- memory: the null device has none, so it gets pages that take room only once they are written --------------- */

struct memory {
  size_t size;
  char *bytes;
};
static size_t heap_size(void) {
  const char *gib = getenv("NULL_GPU_GIB");
  return (size_t)((gib ? strtod(gib, NULL) : 24) * (1 << 30));
}
static size_t in_use;

static void fill_memory(VkPhysicalDeviceMemoryProperties *p) {
  memset(p, 0, sizeof *p);
  p->memoryHeapCount = 1;
  p->memoryHeaps[0] = (VkMemoryHeap){heap_size(), VK_MEMORY_HEAP_DEVICE_LOCAL_BIT};
  p->memoryTypeCount = 2;
  p->memoryTypes[0] = (VkMemoryType){VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, 0};
  p->memoryTypes[1] = (VkMemoryType){VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                         VK_MEMORY_PROPERTY_HOST_COHERENT_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT,
                                     0};
}
static void memory_properties(VkPhysicalDevice d, VkPhysicalDeviceMemoryProperties *p) { fill_memory(p); }
static void memory_properties2(VkPhysicalDevice d, VkPhysicalDeviceMemoryProperties2 *p) {
  fill_memory(&p->memoryProperties);
}
static VkResult allocate(VkDevice d, const VkMemoryAllocateInfo *info, const VkAllocationCallbacks *a,
                         VkDeviceMemory *out) {
  if (in_use + info->allocationSize > heap_size()) return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  size_t size = info->allocationSize;
  char *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (bytes == MAP_FAILED) return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  struct memory *m = malloc(sizeof *m);
  *m = (struct memory){size, bytes};
  in_use += size;
  *out = (VkDeviceMemory)m;
  return VK_SUCCESS;
}
static void release(VkDevice d, VkDeviceMemory memory, const VkAllocationCallbacks *a) {
  struct memory *m = (struct memory *)memory;
  if (m) in_use -= m->size, munmap(m->bytes, m->size);
  free(m);
}
static VkResult map(VkDevice d, VkDeviceMemory memory, VkDeviceSize offset, VkDeviceSize size, VkFlags flags,
                    void **out) {
  *out = ((struct memory *)memory)->bytes + offset;
  return VK_SUCCESS;
}
static void buffer_requirements(VkDevice d, VkBuffer buffer, VkMemoryRequirements *r) {
  ((PFN_vkGetBufferMemoryRequirements)next_device(d, "vkGetBufferMemoryRequirements"))(d, buffer, r);
  r->memoryTypeBits = 3;
}
static void buffer_requirements2(VkDevice d, const VkBufferMemoryRequirementsInfo2 *info, VkMemoryRequirements2 *r) {
  ((PFN_vkGetBufferMemoryRequirements2)next_device(d, "vkGetBufferMemoryRequirements2"))(d, info, r);
  r->memoryRequirements.memoryTypeBits = 3;
}

/* --- fences: always signalled ---------------------------------------------------------------------------------- */

static VkResult create_fence(VkDevice d, const VkFenceCreateInfo *info, const VkAllocationCallbacks *a, VkFence *out) {
  static uintptr_t serial;
  *out = (VkFence)++serial;
  return VK_SUCCESS;
}
static VkResult fence_file(VkDevice d, const VkFenceGetFdInfoKHR *info, int *fd) {
  *fd = -1; /* a sync file that is signalled */
  return VK_SUCCESS;
}

/* --- the layer -------------------------------------------------------------------------------------------------- */

static VkResult create_instance(const VkInstanceCreateInfo *info, const VkAllocationCallbacks *allocator,
                                VkInstance *out) {
  VkLayerInstanceCreateInfo *chain = (void *)info->pNext;
  while (chain && !(chain->sType == VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO &&
                    chain->function == VK_LAYER_LINK_INFO))
    chain = (void *)chain->pNext;
  next_instance = chain->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  chain->u.pLayerInfo = chain->u.pLayerInfo->pNext;
  VkResult result = ((PFN_vkCreateInstance)next_instance(NULL, "vkCreateInstance"))(info, allocator, out);
  instance = *out;
  return result;
}

static VkResult create_device(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                              const VkAllocationCallbacks *allocator, VkDevice *out) {
  VkLayerDeviceCreateInfo *chain = (void *)info->pNext;
  while (chain && !(chain->sType == VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO &&
                    chain->function == VK_LAYER_LINK_INFO))
    chain = (void *)chain->pNext;
  PFN_vkGetInstanceProcAddr get = chain->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  next_device = chain->u.pLayerInfo->pfnNextGetDeviceProcAddr;
  chain->u.pLayerInfo = chain->u.pLayerInfo->pNext;

  VkDeviceCreateInfo mine = *info; /* and the extension that tells of executables */
  uint32_t n = info->enabledExtensionCount;
  const char **names = malloc((n + 1) * sizeof *names);
  if (n) memcpy(names, info->ppEnabledExtensionNames, n * sizeof *names);
  names[n] = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
  VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR feature = {
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR, (void *)info->pNext, VK_TRUE};
  mine.enabledExtensionCount = n + 1;
  mine.ppEnabledExtensionNames = names;
  mine.pNext = &feature;
  VkResult result = ((PFN_vkCreateDevice)get(instance, "vkCreateDevice"))(physical, &mine, allocator, out);
  free(names);
  return result;
}

/* What the layer answers itself: functions that would reach a queue or the memory. */
static PFN_vkVoidFunction replaced(const char *name) {
  static const struct {
    const char *name;
    void *function;
  } own[] = {{"vkCreateComputePipelines", create_compute_pipelines},
             {"vkAllocateMemory", allocate},
             {"vkFreeMemory", release},
             {"vkMapMemory", map},
             {"vkUnmapMemory", ignore},
             {"vkFlushMappedMemoryRanges", succeed},
             {"vkInvalidateMappedMemoryRanges", succeed},
             {"vkBindBufferMemory", succeed},
             {"vkBindBufferMemory2", succeed},
             {"vkBindImageMemory", succeed},
             {"vkBindImageMemory2", succeed},
             {"vkGetBufferMemoryRequirements", buffer_requirements},
             {"vkGetBufferMemoryRequirements2", buffer_requirements2},
             {"vkGetBufferMemoryRequirements2KHR", buffer_requirements2},
             {"vkUpdateDescriptorSets", ignore},
             {"vkQueueSubmit", submit},
             {"vkQueueSubmit2", submit},
             {"vkQueueSubmit2KHR", submit},
             {"vkCreateFence", create_fence},
             {"vkDestroyFence", ignore},
             {"vkGetFenceFdKHR", fence_file},
             {"vkDestroyCommandPool", ignore},
             {"vkFreeCommandBuffers", ignore},
             {"vkTrimCommandPool", ignore}};
  for (size_t i = 0; i < sizeof own / sizeof *own; i++)
    if (!strcmp(name, own[i].name)) return (PFN_vkVoidFunction)own[i].function;
  static const char *quiet[] = {"vkBeginCommandBuffer", "vkEndCommandBuffer", "vkResetCommandBuffer",
                                "vkResetCommandPool",   "vkQueueWaitIdle",    "vkDeviceWaitIdle",
                                "vkWaitForFences",      "vkGetFenceStatus",   "vkResetFences",
                                NULL};
  if (!strncmp(name, "vkCmd", 5)) return (PFN_vkVoidFunction)ignore;
  for (int i = 0; quiet[i]; i++)
    if (!strcmp(name, quiet[i])) return (PFN_vkVoidFunction)succeed;
  return NULL;
}

static PFN_vkVoidFunction of_device(VkDevice device, const char *name) {
  if (!strcmp(name, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)of_device;
  PFN_vkVoidFunction mine = replaced(name), theirs = next_device(device, name);
  return mine && theirs ? mine : theirs;
}

static PFN_vkVoidFunction of_instance(VkInstance i, const char *name) {
  if (!strcmp(name, "vkGetInstanceProcAddr")) return (PFN_vkVoidFunction)of_instance;
  if (!strcmp(name, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)of_device;
  if (!strcmp(name, "vkCreateInstance")) return (PFN_vkVoidFunction)create_instance;
  if (!strcmp(name, "vkCreateDevice")) return (PFN_vkVoidFunction)create_device;
  if (!strcmp(name, "vkGetPhysicalDeviceMemoryProperties")) return (PFN_vkVoidFunction)memory_properties;
  if (!strcmp(name, "vkGetPhysicalDeviceMemoryProperties2")) return (PFN_vkVoidFunction)memory_properties2;
  if (!strcmp(name, "vkGetPhysicalDeviceMemoryProperties2KHR")) return (PFN_vkVoidFunction)memory_properties2;
  PFN_vkVoidFunction mine = replaced(name);
  return mine ? mine : next_instance ? next_instance(i, name) : NULL;
}

VkResult vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *version) {
  version->loaderLayerInterfaceVersion = 2;
  version->pfnGetInstanceProcAddr = of_instance;
  version->pfnGetDeviceProcAddr = of_device;
  version->pfnGetPhysicalDeviceProcAddr = NULL;
  return VK_SUCCESS;
}
