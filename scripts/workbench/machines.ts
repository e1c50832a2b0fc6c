/** What a GPU's compiler makes of the kernels, before a change and now. */
import type { Machine } from "../null_gpu/machine.ts";
import { table } from "../inspect/table.ts";
import type { KernelDescription } from "../kernel/description.ts";

/**
 * A line for each pass; with `before` for those alone whose code changed, with "before → now"; undefined
 * where none did.
 */
export function describeMachines(
  now: readonly KernelDescription[],
  before: readonly KernelDescription[] = now,
): string | undefined {
  const rows = now.flatMap(({ shape, passes }, k) =>
    passes.flatMap(({ name, machine }, p) => {
      const old = before[k]!.passes[p]!.machine!;
      const isShown = before === now || machine!.code !== old.code;
      return isShown ? [[shape, name, ...cellsOf(old, machine!)]] : [];
    })
  );
  const { family } = now[0]!.passes[0]!.machine!;
  const heads = ["VGPRs", "spilled", "LDS, bytes", "occupancy", "code, bytes", "multiply-adds"];
  return rows.length ? table([[`as ${family}`, "kernel", ...heads], ...rows]) : undefined;
}

function cellsOf(before: Machine, now: Machine): string[] {
  const of = (text: (machine: Machine) => string) => {
    const [old, recent] = [text(before), text(now)];
    return old === recent ? recent : `${old} → ${recent}`;
  };
  return [
    of(({ vgprs }) => `${vgprs}`),
    of(({ spilled }) => `${spilled}`),
    of(({ lds }) => `${lds}`),
    of(({ occupancy: { subgroups, most, limit } }) => `${subgroups} of ${most}, ${limit}`),
    of(({ codeBytes }) => `${codeBytes}`),
    of(({ loop }) => loop ? `${(100 * loop.arithmetic).toFixed(0)} %` : "–"),
  ];
}
