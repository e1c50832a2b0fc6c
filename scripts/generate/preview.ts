import { pictureProtocols, previewWriter } from "denoise";
import type { PreviewOptions } from "denoise/pipelines";
import { expectOutput } from "../command_line/output.ts";

/**
 * What `--preview` says: every how many steps, to which file, by which protocol; all three may be left out.
 * Without a file, and in a terminal that is not known to show pictures, there are none, which is told.
 */
export function readPreview(text: string): PreviewOptions | undefined {
  const parts = text.split(",").map((part) => part.trim()).filter((part) => part !== "");
  const every = parts.find((part) => /^[1-9]\d*$/.test(part));
  const file = parts.find((part) => /\.png$/i.test(part));
  const protocol = pictureProtocols.find((name) => parts.includes(name));
  const odd = parts.find((part) => ![every, file, protocol].includes(part));
  if (odd !== undefined) {
    throw new TypeError(
      `Cannot take --preview ${text}: expected a number of steps, a file such as preview.png, or ` +
        `${pictureProtocols.join(", ")}, got ${odd}`,
    );
  }
  if (file !== undefined) expectOutput("--preview", file);
  const write = previewWriter({ file, protocol });
  if (write) return { every: Number(every ?? 1), write };
  console.warn("No previews: this terminal is not known to show pictures; try --preview preview.png");
  return undefined;
}
