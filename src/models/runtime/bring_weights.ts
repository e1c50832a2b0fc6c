import { sameNumbers } from "../../core/shape.ts";
import type { Device } from "../../gpu/device.ts";
import type { Checkpoint, TensorInfo } from "../../io/formats/checkpoint.ts";
import { upload, type UploadProgress } from "../../io/upload/upload.ts";
import type { ModelSource } from "./model_source.ts";
import { WeightStream } from "./weight_stream.ts";
import type { Weights } from "./weights.ts";

/** Who asks for the weights, and whom to tell. */
export interface BringOptions {
  /** The model, as errors and memory lists call it. */
  readonly label: string;
  readonly device: Device;
  /** The entry point whose weights are wanted; all by default. */
  readonly only?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: UploadProgress) => void) | undefined;
  readonly onNotice: (line: string) => void;
}

/** Opens a source, brings the tensors that were read into memory, and returns what frees them. */
export async function bringWeights(
  source: ModelSource,
  weights: Weights,
  { label, device, only, signal, onProgress, onNotice }: BringOptions,
): Promise<() => void> {
  const { fillings, tables } = weights;
  using bringing = new DisposableStack(); // where all goes well, it becomes what frees them
  const checkpoint = await source.open();
  using open = new DisposableStack();
  open.use(checkpoint);
  for (const { info } of [...fillings, ...tables]) expectUnchanged(checkpoint, info, source.where);
  for (const table of tables) {
    if (table.filled) continue;
    bringing.defer(() => table.release());
    await table.fill(checkpoint, signal);
  }
  const division = weights.missing(only);
  const options = { label, signal, onProgress };
  const { release, notFinite, errors } = await upload(device, checkpoint, division.resident, options);
  bringing.defer(release);
  if (notFinite.length) {
    onNotice(`${source.where}: ${notFinite.length} tensors hold NaN or infinity, e.g. "${notFinite[0]}"`);
  }
  if (!weights.errors && errors.size) onNotice(describeErrors(label, errors)); // the first time
  weights.errors = new Map([...weights.errors ?? [], ...errors]);
  if (division.streamed.length) {
    bringing.use(new WeightStream(device, label, checkpoint, division));
    open.move(); // it stays open
  }
  const owned = bringing.move();
  return () => owned.dispose();
}

/** One line: how many matrices were packed, and which of them came out worst. */
function describeErrors(label: string, errors: ReadonlyMap<string, number>): string {
  const [name, worst] = [...errors].reduce((a, b) => a[1] >= b[1] ? a : b);
  const mean = Math.sqrt([...errors.values()].reduce((sum, error) => sum + error ** 2, 0) / errors.size);
  const percent = (error: number) => `${(100 * error).toFixed(2)} %`;
  return `${label}: ${errors.size} matrices in fewer bits, off by ${percent(mean)}, at most by ${
    percent(worst)
  } in "${name}"`;
}

/** Throws where a file has another tensor than it had when it was opened first. */
export function expectUnchanged(
  { tensors }: Checkpoint,
  { name, dtype, shape }: TensorInfo,
  where: string,
): void {
  const found = tensors.get(name);
  if (found?.dtype === dtype && sameNumbers(found.shape, shape)) return;
  const got = found ? `${found.dtype} [${found.shape.join(", ")}]` : "none";
  throw new Error(
    `Cannot load "${name}" from ${where}: expected ${dtype} [${shape.join(", ")}] as when it was opened, ` +
      `got ${got}; the file was changed: open it again`,
  );
}
