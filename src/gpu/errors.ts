/** No adapter opens: the driver is missing or the engine cannot use it. */
export class NoAdapterError extends Error {
  override name = "NoAdapterError";
}

/** The device went away: driver reset, unplugged, or destroyed while in use. */
export class DeviceLostError extends Error {
  override name = "DeviceLostError";
}

/** The GPU refused a command, or ran out of memory. */
export class GPUCommandError extends Error {
  override name = "GPUCommandError";
}

/** A shader does not compile. The message names its file, line and column. */
export class ShaderError extends Error {
  override name = "ShaderError";
}
