import type { Tensor } from "denoise";
import { readImage } from "../../src/io/images/load_image.ts";
import { KONTEXT_AREA, kontextSize } from "../../src/pipelines/flux/sizes.ts";
import { referenceSize } from "../../src/pipelines/flux2/sizes.ts";
import type { DrawingSize } from "../../src/pipelines/memory/stage.ts";
import { readCache } from "./cache.ts";
import type { Pictures } from "./draw.ts";
import { seesPictures } from "./hires.ts";
import type { Settings } from "./options.ts";

const KONTEXT = "FluxKontextPipeline";

/** Settings that decide it. */
type SizeSettings = {
  readonly [
    Name in
      | "size"
      | "hires"
      | "resize"
      | "hires-upscaler"
      | "steps"
      | "negative"
      | "guidance"
      | "true-cfg"
      | "max-sequence-length"
      | "pag"
      | "cache"
  ]?:
    | Settings[Name]
    | undefined;
};

/** Height and width in pixels. */
type Sides = readonly [H: number, W: number];

/** Pictures that are changed or seen, and those that control. */
interface Named {
  readonly images: readonly Sides[];
  readonly control: readonly Sides[];
}

/** All that decides the memory of drawing `batch` pictures with some settings, besides the models. */
export function drawingSizeOf(
  className: string,
  settings: SizeSettings,
  batch: number,
  { images, control }: Named,
): DrawingSize {
  const { hires, steps, negative, guidance, "true-cfg": trueCfg = 1 } = settings;
  const usual = {
    ...settings.size,
    hires,
    batch,
    steps,
    tokens: settings["max-sequence-length"],
    isGuided: className.startsWith("ZImage") ? guidance !== 0 : negative !== undefined && trueCfg > 1,
    isPerturbed: settings.pag !== undefined,
    cache: settings.cache === undefined ? undefined : readCache(settings.cache),
  };
  if (className === KONTEXT) {
    return { ...usual, area: KONTEXT_AREA, seen: images.map(kontextSize) };
  }
  if (className.startsWith("Flux2")) {
    const seen = images.map(referenceSize);
    return { ...usual, from: seen[0], seen };
  }
  const isBeside = control.length > 0 && /^(Flux|ZImage)/.test(className); // a UNet's ControlNets see its pixels
  const encoded = settings.resize === "latents" ? images : [];
  return {
    ...usual,
    from: images[0] ?? control[0],
    encoded,
    encodes: images.length > encoded.length || isBeside || seesPictures(settings),
  };
}

/** Sides of the pictures that settings name, read from their files; Kontext, which is made for one, has one at least. */
export async function readSides(
  className: string,
  { image = [], control = [] }: Settings,
): Promise<Named> {
  const read = async (path: string): Promise<Sides> => {
    const { width, height } = await readImage(path);
    return [height, width];
  };
  const images = await Promise.all(image.map(read));
  if (className === KONTEXT && images.length === 0) images.push([1024, 1024]);
  return { images, control: await Promise.all(control.map(read)) };
}

/** Sides of pictures that were loaded. */
export function sidesOf({ images, control }: Pictures): Named {
  const sides = ({ shape }: Tensor): Sides => [shape[2]!, shape[3]!];
  return { images: images.map(sides), control: control.map(sides) };
}
