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

/** Reads a table between its whole indices as `numpy.interp` does; outside it holds the ends. */
export function interpolate(table: ArrayLike<number>, at: number): number {
  const last = table.length - 1;
  if (at <= 0) return table[0]!;
  if (at >= last) return table[last]!;
  const i = Math.floor(at);
  return (table[i + 1]! - table[i]!) * (at - i) + table[i]!;
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

/**
 * The x at which a Beta(a, a) variable has fallen below with probability p: `scipy.stats.beta.ppf(p, a, a)`.
 */
export function betaQuantile(p: number, a: number): number {
  if (p > 0.5) return 1 - betaQuantile(1 - p, a); // symmetric about 1/2, up to where the series is short
  const target = p * 2 * incompleteBeta(0.5, a); // half of the whole integral lies below 1/2
  let x = Math.min((target * a) ** (1 / a), 0.5); // by the first term alone
  for (let i = 0; x > 0 && i < 50; i++) {
    const density = (x * (1 - x)) ** (a - 1);
    const next = Math.min(Math.max(x - (incompleteBeta(x, a) - target) / density, x / 2), 0.5);
    if (Math.abs(next - x) <= 1e-15 * x) return next;
    x = next;
  }
  return x;
}

/** ∫ u^(a−1) (1−u)^(a−1) du from 0 to x ≤ 1/2, by the binomial series of its second factor. */
function incompleteBeta(x: number, a: number): number {
  let [sum, term] = [0, 1]; // term n: (1−a)(2−a)…(n−a) / n! · xⁿ
  for (let n = 0; Math.abs(term) > 1e-17; term *= (++n - a) / n * x) sum += term / (a + n);
  return sum * x ** a;
}
