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
