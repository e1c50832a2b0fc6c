const AREA = 1024 * 1024; // pixels of a reference, at most

/** Height and width to which a reference is resized, where it has more pixels than 1024². */
export function referenceSize([H, W]: readonly [H: number, W: number]): [H: number, W: number] {
  if (W * H <= AREA) return [H, W];
  const scale = Math.sqrt(AREA / (W * H));
  return [Math.trunc(H * scale), Math.trunc(W * scale)];
}
