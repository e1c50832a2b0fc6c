import { type PictureProtocol, pictureProtocols, previewWriter } from "denoise";
import type { AutoencoderTiny } from "denoise/models";
import type { PreviewOptions } from "denoise/pipelines";
import { expectWritable } from "../../src/io/files/whole_file.ts";

/** The values in `--preview`; all may be left out. */
interface PreviewWish {
  readonly every: number;
  readonly file: string | undefined;
  readonly protocol: PictureProtocol | undefined;
}

/** Reads every how many steps, to which file, by which protocol, e.g. `5,preview.png`. */
export function readPreview(text: string): PreviewWish {
  const parts = text.split(",").map((part) => part.trim()).filter((part) => part !== "");
  const every = parts.find((part) => /^[1-9]\d*$/.test(part));
  const file = parts.find((part) => /\.png$/i.test(part));
  const protocol = pictureProtocols.find((name) => parts.includes(name));
  const odd = parts.find((part) => ![every, file, protocol].includes(part));
  if (odd !== undefined) {
    throw new TypeError(
      `expected a number of steps, a file such as preview.png, or ${pictureProtocols.join(", ")}, got ${odd}`,
    );
  }
  if (file !== undefined) expectWritable(file, `take --preview ${file}`);
  return { every: Number(every ?? 1), file, protocol };
}

/**
 * Options of previews, from the text of `--preview`, which `vae` decodes if there is one. Without a file and in a terminal that cannot show
 * pictures there are none, and a line says so.
 */
export function previewsTo(text: string, vae: AutoencoderTiny | undefined): PreviewOptions | undefined {
  const { every, file, protocol } = readPreview(text);
  const write = previewWriter({ file, protocol });
  if (write) return { every, write, vae };
  console.warn("No previews: this terminal is not known to show pictures; try --preview preview.png");
  return undefined;
}
