/** Features that are requested wherever an adapter has them; `traitsOf` reads the result. */
export const WANTED_FEATURES = [
  "shader-f16",
  "subgroups",
  "timestamp-query",
  "chromium-experimental-subgroup-matrix",
  "subgroup-size-control",
] as GPUFeatureName[];

/** Which implementation of WebGPU runs the commands. */
export type Engine = "dawn" | "deno";

/** A shape of subgroup matrices that an adapter multiplies: [M, K] · [K, N] → [M, N]. */
export interface MatrixConfig {
  /** Type of both operands, e.g. "f16". */
  readonly componentType: string;
  /** Type of the sums, e.g. "f32". */
  readonly resultComponentType: string;
  /** Rows of the left operand and of the sums. */
  readonly M: number;
  /** Columns of the right operand and of the sums. */
  readonly N: number;
  /** Number of products that are summed. */
  readonly K: number;
}

/** Properties that Dawn adds with "chromium-experimental-subgroup-matrix", and that Deno's types for WebGPU lack. */
interface DawnAdapterInfo extends GPUAdapterInfo {
  readonly subgroupMatrixConfigs?: readonly MatrixConfig[];
}

/** Abilities of an adapter, by which kernels are chosen: `selectKernel` of each operator reads them. */
export interface Traits {
  /** True for drivers that run on the CPU (lavapipe, SwiftShader). */
  readonly software: boolean;
  /** Lanes of a subgroup where the adapter has subgroups of one fixed size, else 0. */
  readonly lanes: number;
  /** The smallest and the largest subgroup that a shader may get; undefined where shaders have none. */
  readonly subgroups: { readonly min: number; readonly max: number } | undefined;
  /** True if a shader may ask for one of these sizes (`@subgroup_size`). */
  readonly sizedSubgroups: boolean;
  /** True where shaders may compute in f16. */
  readonly f16: boolean;
  /** True where they may take words for pairs of f16, too (`bitcast`): those of Deno's own WebGPU may not. */
  readonly f16Words: boolean;
  /** Shapes of matrix products that a subgroup computes at once; none where there are no matrix units. */
  readonly matrices: readonly MatrixConfig[];
  /** Bytes that a workgroup may share. */
  readonly workgroupMemory: number;
  /** Invocations that a workgroup may have. */
  readonly invocations: number;
  /** Processors that run workgroups side by side; a guess where the GPU is not known. */
  readonly multiprocessors: number;
  /**
   * True if the driver itself unrolls loops of known length: Mesa does; NVIDIA's keeps arrays that they index
   * in memory.
   */
  readonly unrolls: boolean;
  /**
   * True if products gain by fewer dispatches, as of one x or of two pictures side by side: a software
   * adapter does not.
   */
  readonly joins: boolean;
}

/** For a GPU that is not known: between those of a laptop and the largest. */
const USUAL_MULTIPROCESSORS = 64;
/** By a part of the GPU's name, longer names first; from their makers' data sheets. */
const MULTIPROCESSORS: readonly (readonly [name: RegExp, count: number])[] = [
  [/\bh[12]00\b/i, 132],
  [/\ba100\b/i, 108],
  [/\bl40s?\b/i, 142],
  [/\brtx 5090\b/i, 170],
  [/\brtx 5080\b/i, 84],
  [/\brtx 5070 ti\b/i, 70],
  [/\brtx 5070\b/i, 48],
  [/\brtx 4090\b/i, 128],
  [/\brtx 4080 super\b/i, 80],
  [/\brtx 4080\b/i, 76],
  [/\brtx 4070 ti super\b/i, 66],
  [/\brtx 4070 ti\b/i, 60],
  [/\brtx 4070 super\b/i, 56],
  [/\brtx 4070\b/i, 46],
  [/\brtx 4060 ti\b/i, 34],
  [/\brtx 4060\b/i, 24],
  [/\brtx 3090 ti\b/i, 84],
  [/\brtx 3090\b/i, 82],
  [/\brtx 3080 ti\b/i, 80],
  [/\brtx 3080\b/i, 68],
  [/\brtx 3070 ti\b/i, 48],
  [/\brtx 3070\b/i, 46],
  [/\brtx 3060 ti\b/i, 38],
  [/\brtx 3060\b/i, 28],
  [/\brx 7900 xtx\b/i, 96],
  [/\brx 7900 xt\b/i, 84],
  [/\brx 7800 xt\b/i, 60],
  [/\brx 9070 xt\b/i, 64],
  [/\brx 9070\b/i, 56],
  [/\brx 6900 xt\b/i, 80],
  [/\brx 6800 xt\b/i, 72],
  [/\brx 6800\b/i, 60],
];

/** True if an adapter is a driver that runs on the CPU. */
export function isSoftware(adapter: GPUAdapterInfo): boolean {
  const name = `${adapter.vendor} ${adapter.architecture} ${adapter.device} ${adapter.description}`;
  return adapter.isFallbackAdapter || /llvmpipe|lavapipe|swiftshader|software/i.test(name);
}

/** Multiprocessors by the adapter's name, in which Dawn has `-` for spaces. */
function multiprocessorsOf({ device, description }: GPUAdapterInfo): number {
  const name = `${device} ${description}`.replaceAll("-", " ");
  const known = /laptop|mobile|max-q/i.test(name)
    ? undefined
    : MULTIPROCESSORS.find(([pattern]) => pattern.test(name));
  return known?.[1] ?? USUAL_MULTIPROCESSORS;
}

/** Reads the traits off an open device, its adapter, and which implementation of WebGPU it is of. */
export function traitsOf(gpu: GPUDevice, adapter: GPUAdapterInfo, engine: Engine): Traits {
  const { subgroupMinSize: min, subgroupMaxSize: max } = adapter;
  const software = isSoftware(adapter);
  const hasSubgroups = gpu.features.has("subgroups");
  const hasMatrices = gpu.features.has("chromium-experimental-subgroup-matrix" as GPUFeatureName);
  return {
    software,
    lanes: hasSubgroups && min === max ? min : 0,
    subgroups: hasSubgroups ? { min, max } : undefined,
    sizedSubgroups: gpu.features.has("subgroup-size-control" as GPUFeatureName),
    f16: gpu.features.has("shader-f16"),
    f16Words: gpu.features.has("shader-f16") && engine === "dawn",
    matrices: hasMatrices
      ? [...(adapter as DawnAdapterInfo).subgroupMatrixConfigs ?? []].map((
        { componentType, resultComponentType, M, N, K },
      ) => ({
        componentType,
        resultComponentType,
        M,
        N,
        K,
      }))
      : [],
    workgroupMemory: gpu.limits.maxComputeWorkgroupStorageSize,
    invocations: gpu.limits.maxComputeInvocationsPerWorkgroup,
    multiprocessors: software ? navigator.hardwareConcurrency : multiprocessorsOf(adapter),
    unrolls: software || /\bmesa\b|\bradv\b/i.test(`${adapter.description} ${adapter.architecture}`),
    joins: !software,
  };
}
