/** Sides in pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Pixels of eight bits a channel, [height, width, channels]. */
export interface Image {
  /** Pixels in a row. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
  /** Gray, RGB or RGBA. */
  readonly channels: 1 | 3 | 4;
  /** width * height * channels bytes. */
  readonly data: Uint8Array;
}

/** Pixels that a picture's side may have: so it has at most 2^28. */
export const maxSide = 2 ** 14;

/** Whether a picture may have a side of so many pixels. */
export function isSide(length: number): boolean {
  return Number.isInteger(length) && length >= 1 && length <= maxSide;
}

/** Refuses a file by the sides that its header says. */
export function expectSides({ width, height }: Size, path: string): void {
  if (isSide(width) && isSide(height)) return;
  throw new RangeError(
    `Cannot load ${path}: expected sides of 1 to ${maxSide} pixels, got ${width} x ${height}; make it smaller`,
  );
}
