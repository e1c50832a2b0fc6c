import { nullGpu, NullGpuMissing } from "../../scripts/null_gpu/layer.ts";

/** Why nothing compiles for GPUs here, told once; undefined where it does. */
export const missingNullGpu: string | undefined = await nullGpu("navi31").then(() => undefined, (error) => {
  if (error instanceof NullGpuMissing) return error.message;
  throw error;
});
if (missingNullGpu) console.log(`Skipped, as nothing compiles for GPUs here: ${missingNullGpu}`);
