/** Height and width in pixels, or top and left. */
export type Pair = readonly [number, number];

/** Sizes that Stable Diffusion XL takes as conditions (Podell et al. 2023, section 2.2). */
export interface MicroConditionOptions {
  /** Height and width that the picture seems to have been scaled from; those drawn by default. */
  originalSize?: Pair | undefined;
  /** Top and left of the crop that the picture seems to be of; [0, 0], well centred, by default. */
  cropsCoordsTopLeft?: Pair | undefined;
  /** Height and width that the picture is to have; those drawn by default. */
  targetSize?: Pair | undefined;
  /** The same for the unconditional half; from noise it goes together with negativeTargetSize. */
  negativeOriginalSize?: Pair | undefined;
  /**
   * [0, 0] by default; where the base model changes a picture, cropsCoordsTopLeft. From noise it goes
   * together with both other negative sizes.
   */
  negativeCropsCoordsTopLeft?: Pair | undefined;
  /** From noise it goes together with negativeOriginalSize. */
  negativeTargetSize?: Pair | undefined;
}

/** Scores that the refiner takes instead of target sizes, where a picture is changed. */
export interface AestheticOptions {
  /** Beauty of the picture; 6 by default. */
  aestheticScore?: number | undefined;
  /** The same for the unconditional half; 2.5 by default. */
  negativeAestheticScore?: number | undefined;
}

/** The rows of a run; with guidance the negative ones come first. */
interface Rows {
  B: number;
  guided: boolean;
}

/** Rows of the UNet's timeIds where pictures of a size are drawn from noise. */
export function timeIdRows(options: MicroConditionOptions, size: Pair, rows: Rows): number[][] {
  const { originalSize = size, cropsCoordsTopLeft = [0, 0], targetSize = size } = options;
  const ids = numbersOf({ originalSize, cropsCoordsTopLeft, targetSize });
  return repeated(ids, negativeIds(options) ?? ids, rows);
}

/** Rows of the UNet's timeIds where pictures of a size are changed; `scored` of the refiner. */
export function changeTimeIdRows(
  options: MicroConditionOptions & AestheticOptions,
  size: Pair,
  rows: Rows,
  scored: boolean,
): number[][] {
  expectKind(options, scored);
  const { originalSize = size, cropsCoordsTopLeft = [0, 0], targetSize = size } = options;
  const {
    negativeOriginalSize = originalSize,
    negativeCropsCoordsTopLeft = scored ? [0, 0] : cropsCoordsTopLeft, // as in diffusers
    negativeTargetSize = targetSize,
    aestheticScore = 6,
    negativeAestheticScore = 2.5,
  } = options;
  const ids = numbersOf({ originalSize, cropsCoordsTopLeft });
  const negative = numbersOf({ negativeOriginalSize, negativeCropsCoordsTopLeft });
  if (scored) return repeated([...ids, aestheticScore], [...negative, negativeAestheticScore], rows);
  const [target, negativeTarget] = [numbersOf({ targetSize }), numbersOf({ negativeTargetSize })];
  return repeated([...ids, ...target], [...negative, ...negativeTarget], rows);
}

/** Throws where an option is for the other kind of model, base or refiner. */
function expectKind(options: MicroConditionOptions & AestheticOptions, scored: boolean): void {
  const others = scored
    ? ["targetSize", "negativeTargetSize"] as const
    : ["aestheticScore", "negativeAestheticScore"] as const;
  const name = others.find((name) => options[name] !== undefined);
  if (!name) return;
  const [this_, other] = scored ? ["the refiner", "the base model"] : ["the base model", "the refiner"];
  throw new TypeError(`Cannot draw with ${name}: ${this_} takes none; it is for ${other}`);
}

/** Numbers for the unconditional half, if it has any of its own. */
function negativeIds(options: MicroConditionOptions): number[] | undefined {
  const { negativeOriginalSize, negativeCropsCoordsTopLeft, negativeTargetSize } = options;
  if (negativeOriginalSize && negativeTargetSize) {
    const crop = negativeCropsCoordsTopLeft ?? [0, 0];
    return numbersOf({ negativeOriginalSize, negativeCropsCoordsTopLeft: crop, negativeTargetSize });
  }
  if (!negativeOriginalSize && !negativeTargetSize && !negativeCropsCoordsTopLeft) return undefined;
  const missing = negativeOriginalSize ? "negativeTargetSize" : "negativeOriginalSize";
  throw new TypeError(
    `Cannot draw: expected negativeOriginalSize and negativeTargetSize together, got no ${missing}`,
  );
}

/** A row for each picture. diffusers mixes both kinds of row where there are several pictures. */
function repeated(ids: number[], negative: number[], { B, guided }: Rows): number[][] {
  const rows = (row: number[]): number[][] => Array.from({ length: B }, () => row);
  return guided ? [...rows(negative), ...rows(ids)] : rows(ids);
}

/** Pairs in a row. */
function numbersOf(pairs: Readonly<Record<string, Pair>>): number[] {
  return Object.entries(pairs).flatMap(([name, pair]) => {
    if (pair.length === 2 && pair.every(Number.isFinite)) return [...pair];
    throw new TypeError(`Cannot draw with ${name} [${pair.join(", ")}]: expected two numbers`);
  });
}
