/** No adapter opens: the driver is missing or the engine cannot use it. */
export class NoAdapterError extends Error {
  /** Stands before the message where the error is printed. */
  override name = "NoAdapterError";
}

/** The device went away: driver reset, unplugged, or destroyed while in use. */
export class DeviceLostError extends Error {
  /** Stands before the message where the error is printed. */
  override name = "DeviceLostError";
}

/** The GPU refused a command, or ran out of memory. */
export class GPUCommandError extends Error {
  /** Stands before the message where the error is printed. */
  override name = "GPUCommandError";
}

/** The GPU has no memory left for what is asked of it. */
export class OutOfMemoryError extends GPUCommandError {
  /** Stands before the message where the error is printed. */
  override name = "OutOfMemoryError";
  /** Bytes of the buffer that there was no room for; 0 where it was something else. */
  readonly wanted: number;
  /** Bytes of the device's other buffers. */
  readonly inUse: number;

  /** `wanted` and `inUse` in bytes. */
  constructor(message: string, { wanted = 0, inUse = 0 }: { wanted?: number; inUse?: number } = {}) {
    super(message);
    this.wanted = wanted;
    this.inUse = inUse;
  }
}

/** A shader does not compile. The message names its file, line and column. */
export class ShaderError extends Error {
  /** Stands before the message where the error is printed. */
  override name = "ShaderError";
}
