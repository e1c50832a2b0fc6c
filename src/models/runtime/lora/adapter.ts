import type { DType } from "../../../core/dtype.ts";
import { type Shape, size } from "../../../core/shape.ts";
import type { Device } from "../../../gpu/device.ts";
import type { Checkpoint } from "../../../io/formats/checkpoint.ts";
import type { ChangePlacement, Placed } from "../../../io/lora/match.ts";
import type { UploadProgress } from "../../../io/upload/upload.ts";
import { type AdapterScale, byPath, type LayerNames, scaleOf, type ScalesByPath } from "./adapter_scale.ts";
import { bytesOfMatrices, type Matrices, readMatrices } from "./matrices.ts";
import { expectFinite } from "./merged.ts";
import type { Applied } from "./merge_groups.ts";

/** Shapes of the layers that low-rank products are added to. */
interface ProductShapes {
  /** Shapes of their weights, with as many columns as the adapter's matrices have. */
  readonly shapes: ReadonlyMap<string, Shape>;
  /** Columns of those layers whose weights have others. */
  readonly widths: ReadonlyMap<string, number>;
}

/** The shapes for an adapter's products; layers of `widens` may have other columns than their weights. */
export function shapesOf(
  { pairs }: Placed,
  shapeOf: (layer: string) => Shape,
  widens: readonly string[],
): ProductShapes {
  const shapes = new Map(pairs.map(({ layer }) => [layer, shapeOf(layer)]));
  const widths = new Map<string, number>();
  for (const { layer, pair: { down: { shape: [, width] } } } of pairs) {
    const [rows, columns] = shapes.get(layer)!;
    if (!widens.includes(layer) || width === columns) continue;
    widths.set(layer, width!);
    shapes.set(layer, [rows!, width!]);
  }
  return { shapes, widths };
}

/** The origin and the parts of an adapter. */
interface AdapterParts extends ProductShapes {
  readonly name: string;
  readonly scale: AdapterScale;
  readonly placed: Placed;
  readonly open: () => Promise<Checkpoint>;
  /** Type of its matrices in memory. */
  readonly dtype: DType;
  /** Those of the model. */
  readonly layers: LayerNames;
  /** Told whenever it is read. */
  readonly onProgress?: ((progress: UploadProgress) => void) | undefined;
}

/** A LoRA of one model, in memory or not: what it adds to which layers, and how strong it is. */
export class Adapter {
  /** The matrices of its products; undefined while they are not in memory. */
  matrices: Matrices | undefined;
  /** Changes that its file makes in the model. */
  readonly placed: Placed;
  /** Opens its file. */
  readonly open: () => Promise<Checkpoint>;
  /** Channels that it reads of layers' inputs, where these are not as many as the layers read. */
  readonly widths: ReadonlyMap<string, number>;
  readonly #device: Device;
  readonly #parts: AdapterParts;
  #scale: AdapterScale;
  #byPath: ScalesByPath;

  /** Not in memory yet. */
  constructor(device: Device, parts: AdapterParts) {
    this.placed = parts.placed;
    this.open = parts.open;
    this.widths = parts.widths;
    this.#device = device;
    this.#parts = parts;
    this.#scale = parts.scale;
    this.#byPath = byPath(parts.name, parts.scale, parts.layers);
  }

  /** Its strength in the calls from here on. */
  get scale(): AdapterScale {
    return this.#scale;
  }

  /** Checks a strength, and returns what sets it. */
  rescaling(scale: AdapterScale): () => void {
    const paths = byPath(this.#parts.name, scale, this.#parts.layers);
    return () => void ([this.#scale, this.#byPath] = [scale, paths]);
  }

  /** Its strength in a layer. */
  scaleOf(layer: string): number {
    return scaleOf(this.#byPath, layer);
  }

  /** True if it changes weights. */
  get isMerged(): boolean {
    return this.placed.changes.length > 0;
  }

  /** Bytes that its matrices take in memory. */
  get bytes(): number {
    return bytesOfMatrices(this.placed.pairs, this.#parts.dtype);
  }

  /** Reads its matrices into memory; errors of the file, also in other tensors, are thrown. */
  async read(signal?: AbortSignal): Promise<void> {
    const { name, placed, dtype, shapes, onProgress } = this.#parts;
    const options = { label: `LoRA ${name}`, dtype, shapes, onProgress, signal };
    using checkpoint = await this.open();
    await expectFinite(this.#device, placed.changes, checkpoint, { label: options.label, signal });
    this.matrices = await readMatrices(this.#device, placed.pairs, checkpoint, options);
  }

  /** All that it changes in weights, as strong as it is. */
  changes(): Applied[] {
    return this.#applied(this.placed.changes);
  }

  /** Its low-rank products as such changes. */
  productsAsChanges(): Applied[] {
    const changes = [...Map.groupBy(this.placed.pairs, ({ pair }) => pair)].map(
      ([pair, layers]): ChangePlacement => {
        const { down, up } = pair;
        const [rows = 0, columns] = [up.shape[0], size(down.shape.slice(1))];
        return {
          change: { ...pair, kind: "LoRA", target: "weight", tensors: { down, up }, rows, columns },
          layers,
        };
      },
    );
    return this.#applied(changes);
  }

  /** Gives its matrices away, to be released: it is not in memory any more. */
  take(): Matrices[] {
    const { matrices } = this;
    this.matrices = undefined;
    return matrices ? [matrices] : [];
  }

  #applied(changes: readonly ChangePlacement[]): Applied[] {
    const { open } = this;
    return changes.map((placement) => ({
      placement,
      scale: this.scaleOf(placement.layers[0]!.layer),
      open,
    })).filter(({ scale }) => scale !== 0);
  }
}
