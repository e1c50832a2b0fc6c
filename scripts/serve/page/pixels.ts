/// <reference lib="dom" />

/** A picture's pixels, turned as its camera says, in at most so many; transparent ones on white. Throws a TypeError where it is none. */
export async function pixelsOf(file: Blob, most: number): Promise<HTMLCanvasElement> {
  const picture = await createImageBitmap(file).catch(() => {
    throw new TypeError("Cannot read the picture: expected a PNG, JPEG or WebP");
  });
  const scale = Math.min(1, Math.sqrt(most / (picture.width * picture.height)));
  const [width, height] = [picture.width, picture.height].map((side) =>
    Math.max(1, Math.floor(side * scale))
  );
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d")!;
  context.fillStyle = "white";
  context.fillRect(0, 0, width!, height!);
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, width!, height!);
  return canvas;
}

/** A PNG of pixels. */
export function pngOf(canvas: HTMLCanvasElement): Promise<Blob> {
  return new Promise((resolve, reject) => {
    canvas.toBlob(
      (blob) => blob ? resolve(blob) : reject(new Error("Cannot write the picture")),
      "image/png",
    );
  });
}

const CARD = 208 * 208; // pixels of a small picture: twice those of the page, for dense screens

/** A small picture for a list; the file itself where it has few pixels. */
export async function smallOf(
  png: Blob,
  { width, height }: { readonly width: number; readonly height: number },
): Promise<Blob> {
  return width * height <= CARD ? png : await pngOf(await pixelsOf(png, CARD));
}

/** Shows a picture in a canvas of the page. */
export function paint(canvas: HTMLCanvasElement, picture: HTMLCanvasElement): void {
  Object.assign(canvas, { width: picture.width, height: picture.height });
  canvas.getContext("2d")!.drawImage(picture, 0, 0);
}
