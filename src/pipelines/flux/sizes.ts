/** Height and width in pixels. */
type Sides = [H: number, W: number];

/** Pixels that Kontext draws where nothing else is said. */
export const KONTEXT_AREA = 1024 ** 2;

/** Width and height of pictures that Kontext was trained with, in this order; and the same the other way round. */
const SIZES = [
  [672, 1568],
  [688, 1504],
  [720, 1456],
  [752, 1392],
  [800, 1328],
  [832, 1248],
  [880, 1184],
  [944, 1104],
  [1024, 1024],
] as const;

/** The size of SIZES whose ratio is likest to that of a picture, the narrower of two. */
export function kontextSize([H, W]: readonly [H: number, W: number]): Sides {
  const sizes = [...SIZES, ...SIZES.toReversed().slice(1).map(([w, h]) => [h, w] as const)]; // from narrow to wide
  const far = sizes.map(([w, h]) => Math.abs(W / H - w / h));
  const [w, h] = sizes[far.indexOf(Math.min(...far))]!;
  return [h, w];
}

/** Sides of about `area` pixels in the ratio of others, multiples of `multiple`. */
export function sidesOfArea(
  [H, W]: readonly [H: number, W: number],
  area: number,
  multiple: number,
): Sides {
  const side = (ratio: number) =>
    multiple * Math.max(1, Math.floor(Math.round(Math.sqrt(area * ratio)) / multiple));
  return [side(H / W), side(W / H)];
}
