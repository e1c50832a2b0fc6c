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

/** Rounds to the nearest whole number, and from halfway to the even one, as numpy. */
export function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}

/** x of A x = b, by elimination with the largest pivots, for small systems. */
export function solve(A: readonly (readonly number[])[], b: readonly number[]): number[] {
  const rows = A.map((row, i) => [...row, b[i]]);
  rows.forEach((_, column) => {
    const pivot = rows.slice(column).reduce((a, b) => Math.abs(b[column]!) > Math.abs(a[column]!) ? b : a);
    rows.splice(rows.indexOf(pivot), 1);
    rows.splice(column, 0, pivot);
    for (const row of rows) {
      if (row === pivot) continue;
      const factor = row[column]! / pivot[column]!;
      for (let j = column; j < row.length; j++) row[j]! -= factor * pivot[j]!;
    }
  });
  return rows.map((row, i) => row[row.length - 1]! / row[i]!);
}
