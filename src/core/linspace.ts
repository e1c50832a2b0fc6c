/** `count` numbers from `start` to `end` as `numpy.linspace` makes them, in double precision. */
export function linspace(start: number, end: number, count: number): number[] {
  const step = (end - start) / (count - 1);
  return Array.from({ length: count }, (_, i) => i > 0 && i === count - 1 ? end : start + (i && i * step));
}

/** The same as `torch.linspace` makes them in f32: the second half is counted from the end. */
export function linspaceF32(start: number, end: number, count: number): Float32Array {
  const [first, last] = [Math.fround(start), Math.fround(end)];
  const step = Math.fround(Math.fround(last - first) / (count - 1));
  return new Float32Array(count).map((_, i) =>
    i === 0 ? first : i < Math.floor(count / 2) ? first + step * i : last - step * (count - 1 - i)
  );
}
