// What Dawn offers beyond the types that Deno ships for WebGPU.
declare global {
  interface GPUAdapterInfo {
    /** Shapes that subgroup matrices may have; only with "chromium-experimental-subgroup-matrix". */
    readonly subgroupMatrixConfigs?: readonly {
      componentType: string;
      resultComponentType: string;
      M: number;
      N: number;
      K: number;
    }[];
  }
}

/** Features asked for wherever an adapter has them. */
export const WANTED_FEATURES = [
  "shader-f16",
  "subgroups",
  "timestamp-query",
  "chromium-experimental-subgroup-matrix",
  "subgroup-size-control",
] as GPUFeatureName[];
